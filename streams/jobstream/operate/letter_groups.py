"""Open dead letters by cause: how many, since when, of which releases, and one to look at. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.operate.failed_redrives import FailedTrial
from jobstream_processors.core.fingerprint import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.operate.failed_redrives import Trials
    from jobstream.operate.open_letters import Letter


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """The open letters of one cause. Times are the brokers', in epoch milliseconds."""

    fingerprint: str
    job_type: str
    """Like all that tells the cause, of the newest letter; "" where its bytes do not say."""
    error: str
    """The exception's class; "" where there was none."""
    reason: str
    place: str
    """`module:function` that raised it; "" where no code of the user did."""
    pattern: str
    """The message with `*` for what differs from job to job."""
    count: int
    first_ms: int
    """When the oldest letter that is open was written."""
    last_ms: int
    sample: str
    """The job id of the newest letter."""
    queues: tuple[str, ...]
    releases: Mapping[str, int]
    """Release → how many letters, the most first; "" for those that name none."""

    failed_trial: FailedTrial | None = None
    """The last redrive of this cause, if it ended in a letter of the same cause."""

    def share(self, release: str) -> float:
        """The part of the letters that this release wrote, from 0 to 1."""
        return self.releases.get(release, 0) / self.count


def groups_of(letters: Iterable[Letter], trials: Trials | None = None) -> list[LetterGroup]:
    """The letters by fingerprint, the largest group first; `trials` tells of redrives."""
    by_cause: dict[str, list[Letter]] = {}
    for letter in letters:
        by_cause.setdefault(letter.fingerprint, []).append(letter)
    found = [_group(fingerprint, alike, trials) for fingerprint, alike in by_cause.items()]
    return sorted(found, key=lambda group: (-group.count, -group.last_ms, group.fingerprint))


def _group(fingerprint: str, letters: list[Letter], trials: Trials | None) -> LetterGroup:
    newest = max(letters, key=lambda letter: (letter.died_ms, letter.place))
    cause = cause_of(newest.job_type, newest.carried)
    return LetterGroup(
        fingerprint=fingerprint,
        job_type=newest.job_type,
        error=cause.error,
        reason=cause.reason,
        place=cause.place,
        pattern=cause.pattern,
        count=len(letters),
        first_ms=min(letter.died_ms for letter in letters),
        last_ms=newest.died_ms,
        sample=newest.id,
        queues=tuple(sorted({letter.queue for letter in letters})),
        releases=dict(Counter(letter.release for letter in letters).most_common()),
        failed_trial=trials.failed(fingerprint) if trials is not None else None,
    )
