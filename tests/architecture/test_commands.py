"""Every command that a page names exists, with its options: in blocks and in prose."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.root import root as cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
TYPED = re.compile(r"(?<![\w./\[-])jobstream (?=[a-zA-Z-])")
COMMENT = re.compile(r"(?:^|\s)#\s.*")
SHELLS = {"sh", "console", "bash", ""}
ENDS_A_COMMAND = re.compile(r"[|&;<>)]+|\d?>&?\d?|2>.*")
STANDS_FOR_ANY = {"COMMAND"}


def commands_in(text: str) -> Iterator[tuple[str, bool]]:
    """What follows `jobstream` wherever it is typed, and whether it may break off in prose."""
    for block in FENCE.finditer(text):
        if block["kind"] in SHELLS:
            for line in block["text"].replace("\\\n", " ").splitlines():
                line = COMMENT.sub("", line)  # noqa: PLW2901 - the line without what is no command
                yield from ((line[at.end() :], False) for at in TYPED.finditer(line))
    for code in INLINE.findall(FENCE.sub("", text)):
        words = code.split()
        if words[0] == "jobstream" and len(words) > 1:
            yield " ".join(words[1:]), True
        elif len(words) > 1 and is_short_for_one(words):
            yield " ".join(words), True


def is_short_for_one(words: list[str]) -> bool:
    """Whether these are a command of ours without the program's name, such as `dlq list`."""
    command = cli.get_command(click.Context(cli), words[0])
    return isinstance(command, click.Group) or (
        command is not None and words[1].startswith(("-", "MODULE:APP", "shop:app"))
    )


def words_of(typed: str) -> list[str]:
    """The words up to where the shell ends the command, or a comment begins."""
    split = shlex.shlex(typed, posix=True, punctuation_chars="|&;<>()")
    split.whitespace_split = True
    split.commenters = "#"
    found: list[str] = []
    for word in split:
        if ENDS_A_COMMAND.fullmatch(word):
            break
        found.append(word)
    return found


def complaint(typed: str, *, breaks_off: bool) -> str:
    """What is wrong with a command line, "" if nothing is; values are not looked at."""
    words, path = [word for word in words_of(typed) if word != "--debug"], ["jobstream"]
    command: click.Command = cli
    while isinstance(command, click.Group):
        if not words or words[0] in STANDS_FOR_ANY or words[0] in {"-h", "--help", "--version"}:
            return ""
        default = getattr(command, "default_command", None)
        names = command.list_commands(click.Context(command))
        name = default if default and words[0] not in names else words.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            return f"{' '.join(path)} has no command {name!r}"
        command = found
        path.append(name)
    context = click.Context(command, help_option_names=["-h", "--help"])
    try:
        if isinstance(command, AppCommand):
            words = command.placed(context, words)
        _, left, _ = command.make_parser(context).parse_args(words)
    except click.BadOptionUsage as error:
        # Prose may name an option without its value; a block that is copied may not.
        named = words_of(typed)[-1].startswith("--") and "requires an argument" in error.message
        return "" if breaks_off and named else error.format_message()
    except click.UsageError as error:
        return error.format_message()
    return f"{' '.join(path)} takes no {left!r}" if left else ""


@cache
def options() -> frozenset[str]:
    """Every option of every command."""
    found = {"-h", "--help", "--version", "--debug"}
    waiting: list[click.Command] = [cli]
    while waiting:
        command = waiting.pop()
        shown = [each for each in command.params if not getattr(each, "hidden", False)]
        found.update(opt for each in shown for opt in (*each.opts, *each.secondary_opts))
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            waiting += [c for name in names if (c := command.get_command(context, name))]
    return frozenset(found)


def test_the_page_of_commands_names_every_option(root: Path) -> None:
    page = (root / "docs" / "reference" / "cli.md").read_text()
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page))

    long = {each for each in options() if each.startswith("--")}
    assert long - named <= {"--help", "--version"}


def test_commands_that_are_shown_exist(markdown_file: Path) -> None:
    found = {
        typed: wrong
        for typed, breaks_off in commands_in(markdown_file.read_text())
        if (wrong := complaint(typed, breaks_off=breaks_off))
    }

    assert not found, "\n".join(f"jobstream {typed}: {wrong}" for typed, wrong in found.items())


def test_options_that_prose_names_alone_exist(markdown_file: Path) -> None:
    alone = [code.split() for code in INLINE.findall(FENCE.sub("", markdown_file.read_text()))]
    named = {words[0].partition("=")[0] for words in alone if words[0].startswith("--")}

    assert named <= options(), f"no command of ours has {named - options()}"


def test_wrong_commands_are_found() -> None:
    text = """
Say `jobstream dlq look ID`, `jobstream lag --every` or `dlq show --byte`, and
`jobstream exporter --stalled-after`.

```sh
JOBSTREAM_APP=shop jobstream dlq list --kind "$TYPE" | jq . # jobstream nothing
while jobstream lag extra > /dev/null; do jobstream control pause --queue; done
jobstream worker shop:app \\
  --workers 4
```
"""

    found = {
        typed.split("|")[0]: complaint(typed, breaks_off=off) for typed, off in commands_in(text)
    }
    wrong = [message for message in found.values() if message]

    expected = ["--kind", "'extra'", "--queue", "--workers", "'look'", "--every", "--byte"]
    assert len(wrong) == len(expected), wrong
    assert all(part in message for part, message in zip(expected, wrong, strict=True)), wrong
