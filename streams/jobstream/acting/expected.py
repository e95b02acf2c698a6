"""What was counted before an act by filter, held against what is found when it acts."""

from __future__ import annotations

from jobstream.errors import JobstreamError


class MoreThanExpected(JobstreamError):
    """More match by now than somebody counted; nothing was done."""

    def __init__(self, what: str, found: int, expected: int) -> None:
        super().__init__(f"{found} {what} match by now, and {expected} were expected")
        self.found = found


def refuse_more(what: str, found: int, expected: int | None) -> None:
    """Raise MoreThanExpected for more than that; None expects nothing."""
    if expected is not None and found > expected:
        raise MoreThanExpected(what, found, expected)
