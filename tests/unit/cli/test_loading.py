"""What is said of a module that can't be imported: the user's line, and nothing of our frames."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from jobstream.cli.app_name import AppName
from jobstream.cli.loading import load_app
from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

QUEUE = "from jobstream import App\nApp('shop').queue(\n    'Mail!'\n)\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def said_of(folder: Path, text: str) -> list[str]:
    """The lines of the error for a module of that text."""
    (folder / "wrong.py").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_app(AppName("wrong:app"))
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("text", "line", "source", "last"),
    [
        ("\n1 / 0\n", 2, "1 / 0", "ZeroDivisionError: division by zero"),
        ("import missing\n", 1, "import missing", "ModuleNotFoundError: No module named 'missing'"),
        ("import json\njson.loads('{')\n", 2, "json.loads('{')", "json.decoder.JSONDecodeError: "),
        ("import sys\n\nsys.exit(3)\n", 3, "sys.exit(3)", "SystemExit: 3"),
        (QUEUE, 2, "App('shop').queue(", "jobstream.ConfigError: queue name 'Mail!'"),
        ("\nx = (1,,)\n", 2, "x = (1,,)", "SyntaxError: invalid syntax"),
    ],
    ids=["own", "import", "library", "exit", "ours", "syntax"],
)
def test_an_import_that_fails_ends_at_the_line_of_the_user(
    folder: Path, text: str, line: int, source: str, last: str
) -> None:
    said = said_of(folder, text)

    assert said[0] == "module 'wrong' can't be imported (--debug has the traceback)"
    assert said[1:3] == [f"  {folder}/wrong.py:{line}", f"    {source}"]
    assert said[-1].startswith(last)
    assert len(said) <= 5
    assert "jobstream/" not in "\n".join(said)


def test_the_line_is_that_of_the_module_that_is_no_python(folder: Path) -> None:
    (folder / "inner.py").write_text("\n\ndef f(:\n")

    said = said_of(folder, "import inner\n")

    assert said[1:3] == [f"  {folder}/inner.py:3", "    def f(:"]


def test_a_file_that_is_no_text_is_told_without_a_line(folder: Path) -> None:
    said = said_of(folder, "\0")

    assert said[0].startswith("module 'wrong' can't be imported")
    assert "null bytes" in said[-1]


def test_a_variable_that_is_wrong_is_no_fault_of_the_module(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSTREAM_DRAIN", "25")

    (said,) = said_of(folder, "from jobstream import App\n\napp = App('shop')\n")

    assert said.startswith("JOBSTREAM_DRAIN='25' is not a duration")


def test_a_module_without_that_name_tells_which_apps_it_has(folder: Path) -> None:
    (folder / "malls.py").write_text(
        "from jobstream import App\nshop, stall = App('shop'), App('stall')\n"
    )

    with pytest.raises(ConfigError, match=r"/malls\.py\) has malls:shop, malls:stall$"):
        load_app(AppName("malls:app"))


def test_a_module_that_is_not_there_tells_where_it_was_looked_for(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "below").mkdir()
    for place in (folder, folder / "below"):
        with pytest.raises(ConfigError, match=f"no module 'nowhere' in {place} or among"):
            load_app(AppName("nowhere:app", folder=place))
