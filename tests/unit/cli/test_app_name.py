"""Where the name of the app comes from, which place counts, and what is said if there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from jobstream.cli.app_name import AppName, app_name, is_module_app
from jobstream.cli.root import root
from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

TABLE = '[tool.jobstream]\napp = "{}"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBSTREAM_APP", raising=False)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(root, list(words))


def by_file(text: str, folder: Path) -> AppName:
    return AppName(text, str(folder / "pyproject.toml"), folder, in_folder=True)


def named(found: AppName | None) -> str:
    assert found is not None
    return found.text


def test_what_is_given_counts_before_the_variable_and_that_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app_name(None) is None

    (folder / "pyproject.toml").write_text(TABLE.format("by_file:app"))
    assert named(app_name(None)) == "by_file:app"
    monkeypatch.setenv("JOBSTREAM_APP", "by-variable")
    assert named(app_name(None)) == "by-variable"
    assert named(app_name("given:app")) == "given:app"


def test_an_empty_variable_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSTREAM_APP", "")

    assert app_name(None) is None


def test_the_nearest_file_that_says_it_counts_and_its_folder_holds_the_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pyproject.toml").write_text(TABLE.format("outer:app"))
    inner = folder / "inner"
    deep = inner / "deep"
    deep.mkdir(parents=True)
    (deep / "pyproject.toml").write_text('[project]\nname = "another"\n')
    monkeypatch.chdir(deep)
    assert app_name(None) == by_file("outer:app", folder)

    (inner / "pyproject.toml").write_text(TABLE.format("inner:app"))
    assert app_name(None) == by_file("inner:app", inner)


def test_code_is_found_from_a_folder_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pyproject.toml").write_text(TABLE.format("fromabove:app"))
    (folder / "fromabove.py").write_text("from jobstream import App\napp = App('shop')\n")
    (folder / "docs").mkdir()
    monkeypatch.chdir(folder / "docs")
    monkeypatch.setattr("sys.path", list(__import__("sys").path))

    assert run("schemas", "check", ".").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.jobstream]\n", "names no app"),
        ("[tool.jobstream]\napp = 1\n", "names no app"),
        ("[tool]\njobstream = 1\n", "names no app"),
        ("[tool.jobstream\n", "can't be read"),
    ],
)
def test_a_file_that_names_it_wrongly_is_told(folder: Path, text: str, said: str) -> None:
    (folder / "pyproject.toml").write_text(text)

    with pytest.raises(ConfigError, match=said) as told:
        app_name(None)

    assert str(folder / "pyproject.toml") in str(told.value)


@pytest.mark.parametrize("word", ["shop:app", "shop.py:app", "src/shop:made.app", "é.x:y"])
def test_what_reads_as_an_app(word: str) -> None:
    assert is_module_app(word)


@pytest.mark.parametrize(
    "words",
    [
        ["worker"],
        ["dev"],
        ["enqueue", "send_receipt", "{}"],
        ["topics", "plan"],
        ["topics", "apply"],
        ["schemas", "export", "out"],
        ["schemas", "check", "out"],
    ],
    ids=" ".join,
)
def test_a_bare_name_is_refused_where_code_is_needed(words: list[str]) -> None:
    found = run(*words, "--app", "shop")

    assert found.exit_code == 1
    for way in ("needs the code", "MODULE:APP", "--app", "JOBSTREAM_APP", "pyproject.toml"):
        assert way in found.stderr


@pytest.mark.parametrize(
    "words",
    [["worker", "shop"], ["enqueue", "shop", "send_receipt", "{}"], ["lag", "shop"]],
    ids=" ".join,
)
def test_a_bare_name_in_front_is_told_how_to_be_given(words: list[str]) -> None:
    found = run(*words)

    assert found.exit_code == 2
    assert "'shop' is not of the form MODULE:APP" in found.stderr
    assert "--app" in found.stderr


@pytest.mark.parametrize("words", [["lag"], ["status"], ["dlq", "list"]], ids=" ".join)
def test_code_that_is_broken_is_no_way_to_end_where_none_is_needed(
    folder: Path, words: list[str]
) -> None:
    (folder / "pyproject.toml").write_text(TABLE.format("nowhere:app"))

    found = run(*words)

    assert found.exit_code == 1
    assert "no module 'nowhere'" in found.stderr
    assert "--app NAME, this command needs no code" in found.stderr


def test_an_app_named_twice_is_refused() -> None:
    found = run("lag", "shop:app", "--app", "mall")

    assert found.exit_code == 2
    assert "named twice" in found.stderr


@pytest.mark.parametrize("words", [["lag", ""], ["lag", "--app", ""]], ids=str)
def test_an_empty_word_names_no_app(words: list[str]) -> None:
    found = run(*words)

    assert found.exit_code == 2
    assert "JOBSTREAM_APP" in found.stderr
