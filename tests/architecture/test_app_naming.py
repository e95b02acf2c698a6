"""Every command about an app lets it be named in the same ways, and so does every one to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from jobstream.cli.app_command import AppCommand
from jobstream.cli.app_name import is_module_app
from jobstream.cli.root import root as cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ABOUT_NO_APP = {"broker"}
"""Commands about a machine, not about an app."""
ARGUMENTS = {
    "JSON": '{"at": "12:30"}',
    "TYPE": "send_receipt",
    "ID": "0199c7a5-0000-7000-8000-000000000000",
    "QUEUE": "mail",
    "HOST:PID": "worker-7:4711",
    "NAME": "smtp",
    "FOLDER": "out/schemas",
    "FILE": "letters.jsonl",
    "FINGERPRINT": "4f1c0d2a9b7e",
    "ROW": "17",
}
"""What each argument that may follow MODULE:APP looks like; a new one belongs here."""


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The way to each command that does something."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


ABOUT_AN_APP = [path for path in commands(cli) if path[0] not in ABOUT_NO_APP]


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name) or command
    return command


def words_of(command: click.Command) -> list[str]:
    """The least that a command takes besides its app."""
    words = []
    for each in command.params:
        if isinstance(each, click.Argument) and each.name != "target":
            words.append(ARGUMENTS[str(each.metavar).strip("[]")])
        elif isinstance(each, click.Option) and each.required:
            choices = each.type.choices if isinstance(each.type, click.Choice) else ["2h"]
            words += [each.opts[0], choices[0]]
    return words


def understood(path: tuple[str, ...], *words: str) -> dict[str, object]:
    """What the command's function would get, without calling it."""
    params = command_at(path).make_context(path[-1], list(words)).params
    return {name: value for name, value in params.items() if name != "app"}


def app_of(path: tuple[str, ...], *words: str) -> str:
    return str(command_at(path).make_context(path[-1], list(words)).params["app"].text)


@pytest.mark.parametrize("path", ABOUT_AN_APP, ids=" ".join)
def test_every_command_takes_its_app_in_front_or_by_option_or_from_the_folder(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBSTREAM_APP", raising=False)
    rest = words_of(command_at(path))
    with pytest.raises(click.UsageError, match="which app") as nameless:
        command_at(path).make_context(path[-1], list(rest))
    for way in ("MODULE:APP", "--app NAME", "JOBSTREAM_APP", "pyproject.toml"):
        assert way in str(nameless.value)

    assert app_of(path, "shop:app", *rest) == "shop:app"
    assert app_of(path, "--app", "shop", *rest) == "shop"
    assert app_of(path, *rest, "--app", "shop:app") == "shop:app"
    (tmp_path / "pyproject.toml").write_text('[tool.jobstream]\napp = "mall:app"\n')
    assert app_of(path, *rest) == "mall:app"
    monkeypatch.setenv("JOBSTREAM_APP", "stall")
    assert app_of(path, *rest) == "stall"
    assert understood(path, "shop:app", *rest) == understood(path, *rest)


def test_every_command_about_an_app_gets_it_in_that_way() -> None:
    others = [path for path in ABOUT_AN_APP if not isinstance(command_at(path), AppCommand)]

    assert not others, "declare these with cls=AppCommand, or in a group with cls=AppGroup"


@pytest.mark.parametrize("word", ARGUMENTS.values())
def test_no_argument_that_follows_is_taken_for_an_app(word: str) -> None:
    assert not is_module_app(word)
