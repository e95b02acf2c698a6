"""Open dead letters by filter, the newest first, a page at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NoSuch
from jobstream.answers.moments import datetime_of
from jobstream.errors import ConfigError
from jobstream.operate.errors import NotThere
from jobstream.operate.failed_redrives import Trials
from jobstream.operate.open_letters import Letter, open_letters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.answers.app_site import Site
    from jobstream.answers.kept import CachedAnswer
    from jobstream.operate.filters import LetterFilter

LIMIT = 50
LIMIT_MAX = 500
TEXT_CHARS_MAX = 500
"""Of a message in a list."""


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One open dead letter."""

    id: str
    """The job's, or `@topic:partition:offset` where it has none to be trusted."""
    queue: str
    type: str
    reason: str
    error: str
    message: str
    frame: str
    attempts: int
    redrive: int
    died_at: datetime
    letter: str
    """`topic:partition:offset` of the letter itself."""
    trouble: str
    """Why it can't be redriven; empty if it can."""


@dataclass(frozen=True, slots=True)
class LettersAnswer:
    """One page of open dead letters."""

    as_of: AsOf
    letters: tuple[LetterRow, ...]
    after: str
    """Give it back to get the next page; empty at the end."""
    total: int
    """How many meet the filter."""
    reasons: Mapping[str, int]
    types: Mapping[str, int]
    errors: Mapping[str, int]


def letters(
    site: Site, wanted: LetterFilter, queue: str | None = None, after: str = "", limit: int = LIMIT
) -> LettersAnswer:
    """A page of open letters; blocks while their topics are read, all of the app's at once.

    Raises ConfigError for a bad `limit` or `after`, NoSuch for an unknown queue, SourceAway and
    TooBusy.
    """
    if not 1 <= limit <= LIMIT_MAX:
        message = f"limit={limit}: give 1 to {LIMIT_MAX}"
        raise ConfigError(message)
    held = all_letters(site)
    found = passing(site, held.value.letters, wanted, queue)
    found.reverse()
    start = _start(found, after)
    page = found[start : start + limit]
    return LettersAnswer(
        as_of=held.as_of(),
        letters=tuple(letter_row(each) for each in page),
        after=_named(page[-1]) if start + limit < len(found) else "",
        total=len(found),
        reasons=dict(Counter(each.carried.reason for each in found).most_common(LIMIT_MAX)),
        types=dict(Counter(each.job_type for each in found).most_common(LIMIT_MAX)),
        errors=dict(Counter(each.carried.error for each in found).most_common(LIMIT_MAX)),
    )


@dataclass(frozen=True, slots=True)
class OpenNow:
    """Every open letter of the app, and what the log tells of redrives."""

    letters: list[Letter]
    """The oldest first."""
    trials: Trials


def all_letters(site: Site) -> CachedAnswer[OpenNow]:
    """Every open letter of the app, shared by all who ask at that time."""

    def read() -> OpenNow:
        trials = Trials()
        with site.readers.one() as view:
            try:
                return OpenNow(open_letters(view, view.queues(), trials=trials), trials)
            except NotThere as error:
                raise NoSuch(str(error)) from error

    return site.kept.get("letters", read)


def passing(
    site: Site, letters: Iterable[Letter], wanted: LetterFilter, queue: str | None
) -> list[Letter]:
    """Those that pass and are of the queue, if it names one; raises NoSuch for an unknown one."""
    found = [each for each in letters if wanted.passes(each) and queue in {None, each.queue}]
    if queue is not None and not found:
        _require_queue(site, queue)
    return found


def letter_row(each: Letter) -> LetterRow:
    """The letter as lists show it."""
    carried = each.carried
    return LetterRow(
        id=each.id,
        queue=each.queue,
        type=each.job_type,
        reason=carried.reason,
        error=carried.error,
        message=carried.message[:TEXT_CHARS_MAX],
        frame=carried.frame,
        attempts=carried.attempt,
        redrive=each.redrive,
        died_at=datetime_of(each.died_ms),
        letter=_named(each),
        trouble=each.trouble,
    )


def _named(each: Letter) -> str:
    return "{}:{}:{}".format(*each.place)


def _start(found: list[Letter], after: str) -> int:
    if not after:
        return 0
    places = {_named(each): index for index, each in enumerate(found)}
    if after in places:
        return places[after] + 1
    topic, _, offset = after.rpartition(":")
    if not (topic and offset.isascii() and offset.isdigit()):
        message = f"after={after!r:.100} is no place in a list: give the one of the page before"
        raise ConfigError(message)
    return 0  # It was closed since: the list begins anew.


def _require_queue(site: Site, queue: str) -> None:
    """Raise NoSuch where the app has no such queue; blocks for a look."""
    with site.readers.one() as view:
        try:
            view.queues(queue)
        except NotThere as error:
            raise NoSuch(str(error)) from error
