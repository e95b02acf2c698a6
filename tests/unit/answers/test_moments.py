"""A time that no `datetime` can be is shown as the nearest one; no answer fails for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobstream.answers.moments import datetime_of, ms_of


@pytest.mark.parametrize(
    ("at_ms", "shown"),
    [
        (-5, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_769_860_800_123, datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)),
        (2**62, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_every_time_can_be_shown(at_ms: int, shown: datetime) -> None:
    assert datetime_of(at_ms) == shown


def test_there_and_back_is_the_same() -> None:
    assert ms_of(datetime_of(1_769_860_800_123)) == 1_769_860_800_123
    assert ms_of(None) is None
