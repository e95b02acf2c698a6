"""Dead letters from Python: by cause, tried, brought back, corrected, discarded, kept in files.

The same code is under the command line, the HTTP API and the pages. It reads the log, and needs the
code of the app only to correct jobs whose keys come of their args.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.caller_name import myself
from jobstream.errors import ConfigError
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.operate.errors import NotThere, TrialFailed
from jobstream.operate.failed_redrives import Trials
from jobstream.operate.filters import LetterFilter
from jobstream.operate.fix import Changes, fix
from jobstream.operate.letter_file import import_lines, lines_of
from jobstream.operate.letter_groups import groups_of
from jobstream.operate.name_check import whole_fingerprint, whole_fingerprints, whole_ids
from jobstream.operate.open_letters import open_letters
from jobstream.operate.redrive import By, Closed, discard, read_rate, redrive
from jobstream.operate.trial import try_letter
from jobstream_processors.core.duration import to_ms
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jobstream.operate.fix import Corrects, Fixed
    from jobstream.operate.letter_file import Imported
    from jobstream.operate.letter_groups import LetterGroup
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.scan import Progress
    from jobstream.operate.trial import Trial
    from jobstream.operate.view import AppView
    from jobstream_processors.core.duration import Duration

    OnProgress = Callable[["Closed", int, int], object]
    """Called with each letter as it is done, how many are, and how many there are in all."""

FAILURES_MAX = 100
TIMEOUT: Duration = "60s"
ALL = LetterFilter()


@dataclass(frozen=True, slots=True)
class Worked:
    """What became of many letters."""

    redriven: int = 0
    discarded: int = 0
    closed: int = 0
    """Somebody else had closed them since they were listed."""
    failed: int = 0
    """They are open still, or may be: a repeat is safe."""
    failures: tuple[Closed, ...] = ()
    """The first hundred of those, each with its reason."""


class DeadLetters:
    """The open dead letters of one app; `App.dead_letters` is one. Safe to use from any thread.

    Every method reads the dead-letter topics from their start, and blocks for that: about a second
    for 100,000 letters. Raises BrokerUnavailable, BrokerRefused or ReadStalled where the log can't
    be read, and NotThere for an app, queue, job or cause that is not there.
    """

    def __init__(
        self, view: AppView, *, who: str | None = None, correct: Corrects | None = None
    ) -> None:
        """`who` is named in what closes a letter; by default the user of this process.

        `correct` is the app's own code, for `fix`; without it schemas have to do.
        """
        self._correct = correct
        self._view = view
        self._who = myself() if who is None else who
        self._lock = threading.Lock()

    def groups(self, where: LetterFilter = ALL, *, queue: str | None = None) -> list[LetterGroup]:
        """The causes of open letters, the most frequent first, each with its last failed trial."""
        trials = Trials()
        return groups_of(self._found(where, queue, trials=trials), trials)

    def letters(
        self,
        fingerprint: str | None = None,
        *,
        where: LetterFilter = ALL,
        queue: str | None = None,
        progress: Progress | None = None,
    ) -> list[Letter]:
        """The open letters of a cause, or all, that pass the filter; the oldest first."""
        return self._found(where, queue, fingerprint, progress=progress)

    def failed_trial(self, fingerprint: str, *, queue: str | None = None) -> LetterGroup | None:
        """The group of this cause if its last redrive failed, else None."""
        groups = self.groups(LetterFilter(fingerprints=(fingerprint,)), queue=queue)
        return next((group for group in groups if group.failed_trial is not None), None)

    def try_one(
        self,
        fingerprint: str,
        *,
        timeout: Duration = TIMEOUT,
        queue: str | None = None,
        told: Callable[[str], object] | None = None,
    ) -> Trial:
        """Redrive the newest letter of a cause, and wait until its job ends or `timeout` is over.

        The job runs, with all its effects. Ctrl-C, or a timeout, takes nothing back. `told` hears
        what is known meanwhile. Raises NotThere if there is no letter that can be redriven.
        """
        timeout_s = _seconds(timeout)
        found = self._found(ALL, queue, fingerprint)
        sound = [letter for letter in found if not letter.trouble]
        if not sound:
            message = (
                f"no open letter of cause {fingerprint!r} can be redriven: it has {len(found)}"
            )
            raise NotThere(message)
        letter = sound[-1]
        (topics,) = self._view.queues(letter.queue)
        with self._sink() as sink:
            return try_letter(
                self._view,
                sink,
                topics,
                letter,
                by=By(self._who, "a trial"),
                timeout_s=timeout_s,
                told=told,
            )

    def redrive(
        self,
        fingerprint: str | None = None,
        *,
        ids: Iterable[str] = (),
        queue: str | None = None,
        rate: str | None = None,
        limit: int | None = None,
        force: bool = False,
        why: str = "",
        on_progress: OnProgress | None = None,
    ) -> Worked:
        """Put the jobs of a cause, or of these ids, back on their queues, oldest letters first.

        Blocks until all are acknowledged, at most `rate` (as in "50/s"). It may be stopped at any
        time, as by an error of `on_progress`, and repeated: what is open still is redriven then.
        Raises TrialFailed, before anything is done, if the last redrive of the cause ended in a
        letter of the same cause, unless `force`.
        """
        pace = read_rate(rate) if rate else None
        trials = Trials()
        found = self._meant(fingerprint, ids, queue, trials)[:limit]
        if not force and fingerprint is not None:
            refuse_failed(found, trials)
        by = By(self._who, why)
        with self._sink() as sink:
            return _worked(redrive(self._view, sink, found, pace, by), len(found), on_progress)

    def discard(
        self,
        fingerprint: str | None = None,
        *,
        ids: Iterable[str] = (),
        reason: str,
        queue: str | None = None,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Worked:
        """Close the letters of a cause, or of these ids, without running their jobs.

        The reason stands in the log for a week, and `job show` tells it. Raises ConfigError if it
        is empty.
        """
        if not reason.strip():
            message = "discard(reason=''): say why, as in reason='test data'"
            raise ConfigError(message)
        found = self._meant(fingerprint, ids, queue)[:limit]
        with self._sink() as sink:
            closed = discard(self._view, sink, found, By(self._who, reason))
            return _worked(closed, len(found), on_progress)

    def fix(
        self,
        job_id: str,
        changes: Mapping[str, object] | None = None,
        *,
        texts: Mapping[str, str] | None = None,
        queue: str | None = None,
        why: str = "",
    ) -> Fixed:
        """Enqueue a corrected job in place of a dead one, and close its letter.

        `changes` has values by field, in the JSON form that `enqueue` takes; `texts` the same as
        somebody typed it. The new job's id derives from the letter: a repeat makes the same job. It
        names the dead one as its parent. Raises CannotFix, with nothing written, for values that
        the type refuses, and where its schema alone can't tell.
        """
        wanted = Changes(dict(changes or {}), dict(texts or {}))
        found = self._found(LetterFilter(ids=(job_id,)), queue)
        newest = max(found, key=lambda letter: letter.redrive)
        by = By(self._who, why)
        with self._sink() as sink:
            return fix(self._view, sink, newest, wanted, by=by, correct=self._correct)

    def export(
        self,
        fingerprint: str | None = None,
        *,
        where: LetterFilter = ALL,
        queue: str | None = None,
    ) -> Iterator[str]:
        """Each letter as a line of JSON, byte for byte: **secrets are in it**."""
        return lines_of(self._view, self._found(where, queue, fingerprint))

    def import_(self, lines: Iterable[str], *, skip_bad: bool = False) -> Imported:
        """Put exported letters back to their topics, open again; those that are open are left.

        All lines are checked before the first is written. Raises BadLines, with nothing written,
        if one is no letter of this app, unless `skip_bad`. A repeat is safe.
        """

        def is_open() -> set[tuple[str, int, bytes]]:
            return {(each.queue, each.place[1], each.key) for each in self._found(ALL, None)}

        with self._sink() as sink:
            return import_lines(self._view, sink, lines, is_open, skip_bad=skip_bad)

    # -- inside

    def _sink(self) -> closing[KafkaSink]:
        return closing(KafkaSink(self._view.options, BrokerClock()))

    def _meant(
        self,
        fingerprint: str | None,
        ids: Iterable[str],
        queue: str | None,
        trials: Trials | None = None,
    ) -> list[Letter]:
        wanted = tuple(ids)
        if (fingerprint is None) == (not wanted):
            message = "give a fingerprint, or ids=[…]: one of both"
            raise ConfigError(message)
        return self._found(LetterFilter(ids=wanted), queue, fingerprint, trials=trials)

    def _found(
        self,
        where: LetterFilter,
        queue: str | None,
        fingerprint: str | None = None,
        *,
        trials: Trials | None = None,
        progress: Progress | None = None,
    ) -> list[Letter]:
        view = self._view
        with self._lock:
            # A process that lives long meets queues and schemas that are newer than it.
            view.look_again()
        heard = {} if progress is None else {"progress": progress}
        letters = open_letters(view, view.queues(queue), trials=trials, **heard)
        where = whole_fingerprints(whole_ids(where, letters), letters)
        mark = None
        if fingerprint is not None:
            mark = whole_fingerprint(fingerprint, {letter.fingerprint for letter in letters})
        return [
            letter
            for letter in letters
            if where.passes(letter) and mark in {None, letter.fingerprint}
        ]


def refuse_failed(letters: Iterable[Letter], trials: Trials) -> None:
    """Raise TrialFailed if the last redrive of one of the letters' causes failed."""
    for fingerprint in {letter.fingerprint: None for letter in letters}:
        failed = trials.failed(fingerprint)
        if failed is not None:
            message = (
                f"the last redrive of cause {fingerprint} failed: job {failed.job_id} died again "
                f"of it (redrive {failed.redrive}). Nothing was changed. Mend it and try one: "
                f"jobstream dlq try MODULE:APP {fingerprint}; or give --force"
            )
            raise TrialFailed(message)


def _worked(closed: Iterator[Closed], total: int, on_progress: OnProgress | None) -> Worked:
    counts: Counter[str] = Counter()
    failures: list[Closed] = []
    for done, each in enumerate(closed, 1):
        counts[each.outcome] += 1
        if each.outcome == "failed" and len(failures) < FAILURES_MAX:
            failures.append(each)
        if on_progress is not None:
            on_progress(each, done, total)
    return Worked(
        counts["redriven"],
        counts["discarded"],
        counts["closed"],
        counts["failed"],
        tuple(failures),
    )


def _seconds(timeout: Duration) -> float:
    try:
        return to_ms(timeout, name="timeout", least_ms=0) / 1_000
    except InvalidOption as error:
        raise ConfigError(str(error)) from error
