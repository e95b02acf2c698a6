"""What commands print comes out whatever the locale is, and what claims to be JSON is JSON."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.cli import output
from jobstream.cli.args_json import args_from
from jobstream.cli.root import root
from jobstream.web.callers import TokenRole
from jobstream.web.tokens import TokenFile

if TYPE_CHECKING:
    from pathlib import Path

HARD = "é … 目 \U0001f600 \udc80"
APP = """
from dataclasses import dataclass
from jobstream import App

app = App("shop")

@dataclass(frozen=True)
class Mail:
    weight: float

@app.job
async def send(args: Mail) -> None: ...
"""


@dataclass(frozen=True)
class Parcel:
    weight: float


def printed(encoding: str, monkeypatch: pytest.MonkeyPatch, *calls: Any) -> bytes:  # noqa: ANN401 - of output
    """What calls of (function, its arguments) write to a stdout of that encoding."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    output.take_any_text()
    for function, *given in calls:
        function(*given)
    return raw.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_text_is_escaped_where_the_encoding_lacks_it(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = (output.print_table, ("a", "b>"), [(HARD, 1)], HARD)
    told = printed(encoding, monkeypatch, (output.say, HARD), table).decode(encoding)
    assert ("…" in told) == (encoding == "utf-8")
    assert (r"\u2026" in told) == (encoding != "utf-8")
    assert ("é" in told) == (encoding != "ascii")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_every_encoding_and_for_every_number(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {HARD: [math.nan, {"x": math.inf, "y": (-math.inf, 1.5)}]}
    told = printed(encoding, monkeypatch, (output.print_json_line, given))
    assert json.loads(told, parse_constant=pytest.fail) == {
        HARD: ["NaN", {"x": "Infinity", "y": ["-Infinity", 1.5]}]
    }


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_taken_as_they_are_shown(text: str) -> None:
    assert str(args_from(Parcel, {"weight": text}).weight) == str(float(text))


@pytest.mark.parametrize("how", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_command_ends_well_in_a_poor_locale(how: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "app_in_file.py").write_text(APP)
    poor = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **how}
    command = [sys.executable, "-m", "jobstream", "schemas", "export", "app_in_file:app", "sch…mas"]
    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **poor}, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.isascii()
    assert (tmp_path / "sch…mas" / "send.avsc").exists()


def test_a_person_reads_when_a_token_was_made_in_local_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens.json"
    TokenFile(path).add("ci", [TokenRole.READ])
    (made,) = TokenFile(path).read().by_id.values()

    with pytest.raises(SystemExit):
        root.main(["web", "token", "list", "--app", "shop", "--tokens", str(path)])

    epoch_ms = round(datetime.fromisoformat(made.created).timestamp() * 1000)
    assert output.when(epoch_ms) in capsys.readouterr().out
    assert output.local("no moment") == "no moment"
