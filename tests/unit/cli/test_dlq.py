"""What `jobstream dlq` prints of letters that somebody forged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jobstream.cli import dlq

if TYPE_CHECKING:
    import pytest

FORGED: Any = SimpleNamespace(
    id="\x1b]0;owned\x07", redrive=0, job_type="", trip=SimpleNamespace(reason="\x1b[2J")
)


def test_no_letter_drives_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say: Any = vars(dlq)
    say["_would"]("discard", [FORGED], as_json=False)
    say["_report"](
        [SimpleNamespace(outcome="discarded", letter=FORGED, reason="\x1b[31m")], as_json=False
    )

    printed = capsys.readouterr()
    assert "owned" in printed.out
    assert "\x1b" not in printed.out + printed.err
