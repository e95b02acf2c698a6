"""Acts on jobs by filter: counted first, then cancelled by an operation, all that match."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobstream.acting.expected import refuse_more
from jobstream.answers.jobs_answer import JobRow, JobsWanted
from jobstream.answers.jobs_matching import Matching, jobs_matching
from jobstream.errors import ConfigError
from jobstream.kafka.follow.control_topic import ENTRIES_MAX
from jobstream.operate.state_names import ENDED, STATES
from jobstream_processors.core.orders import CANCEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.acting.act_record import ActedBy
    from jobstream.acting.operations import OperationNow, Operations, Step
    from jobstream.answers.app_site import Site

SHOWN_MAX = 20
CANCELS_MAX = 10_000
"""Jobs of one operation."""
HELD_MAX = ENTRIES_MAX * 9 // 10
"""Cancels in force: a worker keeps so many entries, and drops the oldest cancels beyond."""


@dataclass(frozen=True, slots=True)
class WouldCancel:
    """What a cancel by filter would be about."""

    count: int
    jobs: tuple[JobRow, ...]
    """The first of them, the newest first."""
    source: str
    """`views` or `log`."""
    older: int
    """Records that may still wait and were not looked at, as the log has too many."""


@dataclass(frozen=True, slots=True)
class JobsMeant:
    """Which jobs an act is about."""

    wanted: JobsWanted
    """Its states may be those of jobs that have not ended alone; none stands for all of these."""
    everything: bool = False
    """No filter is given, and every job that has not ended is meant."""
    expected: int | None = None
    """How many there were when somebody counted; with more by now, nothing is done."""


def would_cancel(site: Site, meant: JobsMeant) -> WouldCancel:
    """Count them; changes nothing. Raises ConfigError where nothing says which are meant."""
    found = _matching(site, meant)
    return WouldCancel(len(found.jobs), found.jobs[:SHOWN_MAX], found.source, found.older)


def cancel_jobs(
    site: Site, operations: Operations, by: ActedBy, meant: JobsMeant, for_: str | None
) -> OperationNow:
    """Write an order to cancel each of them, by an operation.

    Jobs that come later are not meant. One that ends meanwhile stays as it ended. Raises
    ConfigError, also where workers can't keep so many cancels, and MoreThanExpected.
    """
    found = _matching(site, meant)
    refuse_more("jobs", len(found.jobs), meant.expected)
    _refuse_beyond_room(site, len(found.jobs))
    ids = [each.id for each in found.jobs]
    orders = site.app.control.cancel_each(ids, why=by.why, for_=for_, who=by.who)

    def steps() -> Iterator[Step]:
        for job_id, error in orders:
            yield ("ordered", "") if error is None else ("failed", f"{job_id}: {error}")
        site.kept.forget_all()

    return operations.begin("cancel", len(found.jobs), by, steps)


def _refuse_beyond_room(site: Site, more: int) -> None:
    held = sum(order.kind == CANCEL for order in site.look.now()[0].orders)
    if held + more > HELD_MAX:
        message = (
            f"{held:,} cancels are in force and workers keep some {HELD_MAX:,}: {more:,} more "
            "would push out the oldest, whose jobs would run. Wait until they are settled and lift "
            "them, or pause the queue or the type"
        )
        raise ConfigError(message)


def _matching(site: Site, meant: JobsMeant) -> Matching:
    given = meant.wanted
    # An empty text is no filter, from a page as from the API.
    wanted = replace(given, key=given.key or None, text=given.text or None)
    if ended := [state for state in wanted.states if state in ENDED]:
        message = f"state={ended[0]}: such a job has ended, there is nothing to cancel"
        raise ConfigError(message)
    if wanted == JobsWanted() and not meant.everything:
        message = "this would be about every job that has not ended: give a filter, or everything"
        raise ConfigError(message)
    if not wanted.states:
        wanted = replace(wanted, states=tuple(each for each in STATES if each not in ENDED))
    found = jobs_matching(site, wanted, CANCELS_MAX + 1)
    if len(found.jobs) > CANCELS_MAX:
        message = (
            f"more than {CANCELS_MAX:,} jobs match, which is what one operation cancels: narrow "
            "the filter, or pause the queue or the type"
        )
        raise ConfigError(message)
    return found
