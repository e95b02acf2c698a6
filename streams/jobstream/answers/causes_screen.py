"""Open dead letters by cause: how many, since when, of which releases, and how a redrive went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.letters_screen import LIMIT, all_letters, passing
from jobstream.answers.moments import datetime_of
from jobstream.operate.filters import LetterFilter
from jobstream.operate.letter_groups import LetterGroup, groups_of

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site

ALL = LetterFilter()


@dataclass(frozen=True, slots=True)
class FailedTrialRow:
    """The last redrive of a cause, which ended in a letter of the same cause."""

    job_id: str
    redrive: int
    died_at: datetime


@dataclass(frozen=True, slots=True)
class LetterGroupRow:
    """The open dead letters of one cause."""

    fingerprint: str
    type: str
    error: str
    reason: str
    place: str
    """`module:function` that raised it."""
    pattern: str
    """The message, with `*` for what differs from job to job."""
    count: int
    first_at: datetime
    last_at: datetime
    sample: str
    """The job id of the newest letter."""
    queues: tuple[str, ...]
    releases: Mapping[str, int]
    """Release of the code → how many letters; empty for those that name none."""
    shares: Mapping[str, float]
    """The same as parts of the group, from 0 to 1."""
    failed_trial: FailedTrialRow | None
    """While this is there, a redrive of the cause is refused unless it is forced."""


@dataclass(frozen=True, slots=True)
class LetterGroupsAnswer:
    """Open dead letters by cause, the largest group first."""

    as_of: AsOf
    groups: tuple[LetterGroupRow, ...]
    left_out: int
    total: int
    """Letters of all groups."""


def letter_groups(
    site: Site, queue: str | None = None, limit: int = LIMIT, wanted: LetterFilter = ALL
) -> LetterGroupsAnswer:
    """The largest groups of what passes; blocks while the topics of dead letters are read.

    Raises NoSuch for an unknown queue, SourceAway and TooBusy.
    """
    held = all_letters(site)
    found = passing(site, held.value.letters, wanted, queue)
    groups = groups_of(found, held.value.trials)
    rows = tuple(_row(each) for each in groups[:limit])
    return LetterGroupsAnswer(held.as_of(), rows, len(groups) - len(rows), len(found))


def _row(each: LetterGroup) -> LetterGroupRow:
    failed = each.failed_trial
    return LetterGroupRow(
        fingerprint=each.fingerprint,
        type=each.job_type,
        error=each.error,
        reason=each.reason,
        place=each.place,
        pattern=each.pattern,
        count=each.count,
        first_at=datetime_of(each.first_ms),
        last_at=datetime_of(each.last_ms),
        sample=each.sample,
        queues=each.queues,
        releases=each.releases,
        shares={release: each.share(release) for release in each.releases},
        failed_trial=None
        if failed is None
        else FailedTrialRow(failed.job_id, failed.redrive, datetime_of(failed.died_ms)),
    )
