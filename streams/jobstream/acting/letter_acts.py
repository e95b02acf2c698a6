"""Acts on dead letters by filter: counted first, then redriven or discarded by an operation."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.acting.act_record import audited
from jobstream.acting.expected import refuse_more
from jobstream.answers.errors import NoSuch
from jobstream.answers.letters_screen import LetterRow, all_letters, letter_row, passing
from jobstream.correcting import ByClass
from jobstream.errors import ConfigError
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.operate.dead_letters import DeadLetters
from jobstream.operate.errors import TrialFailed
from jobstream.operate.filters import LetterFilter
from jobstream.operate.redrive import By, discard, read_rate, redrive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream.acting.act_record import ActedBy
    from jobstream.acting.operations import OperationNow, Operations, Step
    from jobstream.answers.app_site import Site
    from jobstream.operate.failed_redrives import Trials
    from jobstream.operate.fix import Fixed
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.trial import Trial

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class WouldClose:
    """What an act by filter would be about."""

    count: int
    letters: tuple[LetterRow, ...]
    """The first of them, the oldest first."""
    failed_trials: tuple[str, ...] = ()
    """Causes of them whose last redrive failed: where a filter names such a cause, a redrive is
    refused unless it is forced."""


@dataclass(frozen=True, slots=True)
class LettersMeant:
    """Which open letters an act is about."""

    filter: LetterFilter
    queue: str | None = None
    limit: int | None = None
    everything: bool = False
    """No filter is given, and every letter of the app is meant."""
    expected: int | None = None
    """How many there were when somebody counted; with more by now, nothing is done."""


def would_close(site: Site, meant: LettersMeant) -> WouldClose:
    """Count them; changes nothing. Raises ConfigError where nothing says which are meant."""
    found, trials = meant_letters(site, meant)
    causes = dict.fromkeys(each.fingerprint for each in found)
    failed = tuple(each for each in causes if trials.failed(each) is not None)
    rows = tuple(letter_row(each) for each in found[:SHOWN_MAX])
    return WouldClose(len(found), rows, failed[:SHOWN_MAX])


def try_cause(site: Site, by: ActedBy, fingerprint: str, timeout: str, queue: str | None) -> Trial:
    """Redrive the newest letter of a cause and wait for how its job ends, at most `timeout`.

    Raises NotThere where there is none that can be redriven.
    """
    with audited(by, "try", fingerprint) as more:
        found = _letters_of(site, by).try_one(fingerprint, timeout=timeout, queue=queue)
        more["job"], more["ended"] = found.job_id, found.outcome
    site.kept.forget("letters")
    return found


def fix_letter(
    site: Site, by: ActedBy, job_id: str, changes: Mapping[str, object], queue: str | None
) -> Fixed:
    """Enqueue a corrected job in place of a dead one; raises CannotFix with nothing written."""
    with audited(by, "fix", job_id) as more:
        found = _letters_of(site, by).fix(job_id, changes, queue=queue, why=by.why)
        more["job"] = found.job_id
    site.kept.forget("letters")
    return found


def _letters_of(site: Site, by: ActedBy) -> DeadLetters:
    app = site.app
    correct = ByClass(lambda: app.jobs_by_name, lambda: app.client) if site.has_code else None
    return DeadLetters(site.view(), who=by.who, correct=correct)


def redrive_letters(
    site: Site,
    operations: Operations,
    by: ActedBy,
    meant: LettersMeant,
    rate: str | None,
    *,
    force: bool = False,
) -> OperationNow:
    """Put their jobs back on their queues, at that rate, by an operation.

    Raises TrialFailed where the last redrive of a cause that is named failed, unless `force`.
    """
    pace = read_rate(rate) if rate else None
    found, trials = meant_letters(site, meant)
    refuse_more("letters", len(found), meant.expected)
    if not force and meant.filter.fingerprints:
        _refuse_failed(found, trials)

    def steps() -> Iterator[Step]:
        with site.readers.one() as view, closing(KafkaSink(view.options, BrokerClock())) as sink:
            for each in redrive(view, sink, found, pace, By(by.who, by.why)):
                yield each.outcome, _trouble(each.outcome, each.letter, each.reason)
        site.kept.forget("letters")

    return operations.begin("redrive", len(found), by, steps)


def _refuse_failed(found: list[Letter], trials: Trials) -> None:
    for fingerprint in dict.fromkeys(each.fingerprint for each in found):
        if trials.failed(fingerprint) is not None:
            message = (
                f"the last redrive of cause {fingerprint} ended in a letter of the same cause, so "
                "nothing was redriven: mend it and try one, or force it (force=true)"
            )
            raise TrialFailed(message)


def discard_letters(
    site: Site, operations: Operations, by: ActedBy, meant: LettersMeant
) -> OperationNow:
    """Close them without running their jobs, by an operation; needs a reason."""
    if not by.why:
        message = "why is missing: say why these jobs are thrown away; the audit keeps it"
        raise ConfigError(message)
    found, _ = meant_letters(site, meant)
    refuse_more("letters", len(found), meant.expected)

    def steps() -> Iterator[Step]:
        with site.readers.one() as view, closing(KafkaSink(view.options, BrokerClock())) as sink:
            for each in discard(view, sink, found, By(by.who, by.why)):
                yield each.outcome, _trouble(each.outcome, each.letter, each.reason)
        site.kept.forget("letters")

    return operations.begin("discard", len(found), by, steps)


def meant_letters(site: Site, meant: LettersMeant) -> tuple[list[Letter], Trials]:
    """Those that are meant, the oldest first, read anew; and what the log tells of redrives.

    Raises ConfigError where nothing says which are meant, NoSuch for a job without a letter and
    an unknown queue.
    """
    if meant.filter.is_empty and meant.queue is None and not meant.everything:
        message = "this would be about every letter of the app: give a filter, or everything=true"
        raise ConfigError(message)
    site.kept.forget("letters")
    held = all_letters(site).value
    found = passing(site, held.letters, meant.filter, meant.queue)
    if not found and meant.filter.ids:
        message = f"no open letter of job {meant.filter.ids[0]!r:.100}"
        raise NoSuch(message)
    return found[: meant.limit], held.trials


def _trouble(outcome: str, letter: Letter, reason: str) -> str:
    return f"{letter.id}: {reason}" if outcome == "failed" else ""
