"""Whether what one process keeps in memory stays within its limits: looked at before each poll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.assignment.feed import Feed
from jobstream_processors.delay import delayer
from jobstream_processors.delay.group_member import GroupMember
from jobstream_processors.delay.rung import Rung

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger

    from jobstream_processors.ports import Listener


def judge_bounds(ledger: Ledger, listener: Listener) -> None:
    """What was handed over to the engine, or waits in the rungs, by now."""
    if isinstance(listener, Feed):
        _feed(ledger, listener)
    elif isinstance(listener, GroupMember):
        _delayer(ledger, listener)


def _feed(ledger: Ledger, feed: Feed) -> None:
    most = feed._pressure.limits.handed_max  # noqa: SLF001 - nobody else need know
    for lane in feed.served():
        if (kept := lane.handed - lane.returned) > most:
            ledger.violation(f"{kept} jobs of {lane.source} are taken up, at most {most} may be")


def _delayer(ledger: Ledger, of: GroupMember[Rung]) -> None:
    for place, rung in of.held.items():
        if not isinstance(rung, Rung):
            return  # A scheduler keeps nothing of its records.
        # One poll brings what it brings; then the rung is paused.
        most = rung.room.records + delayer.HOPS_MAX
        if len(rung) > most:
            ledger.violation(f"{len(rung)} records of {place} are kept, at most {most} may be")
