"""What is left to do at the end of a child is done in order, whatever fails of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.execute import child_end

if TYPE_CHECKING:
    import pytest


def test_the_last_one_is_first_and_a_failure_keeps_none_from_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    def fails() -> None:
        raise SystemExit

    child_end.at_end(lambda: done.append("first"))
    child_end.at_end(fails)
    child_end.at_end(lambda: done.append("last"))
    child_end.end()
    child_end.end()

    assert done == ["last", "first"]
    assert [record.message for record in caplog.records] == ["child_end_failed"]
