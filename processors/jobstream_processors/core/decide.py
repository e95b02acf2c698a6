"""From an outcome to what is to be settled: the one place where failure turns into retry or death.

Pure in (case, outcome): a decision repeated after a crash is the same decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

from jobstream_processors.core import known
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.ladder import EARLY_MS
from jobstream_processors.core.outcome import (
    NOWHERE,
    Again,
    Cancelled,
    Crashed,
    DeclaredDead,
    Done,
    Expired,
    Interrupted,
    Outcome,
    Raised,
    Spot,
    TimedOut,
    Unreadable,
    Unstarted,
)
from jobstream_processors.core.policy import Policy

if TYPE_CHECKING:
    from jobstream_processors.core.verdict import NotBefore

CRASHES_MAX = 3
CRASH_PAUSE_MS = 1_000
UNSTARTED_MAX = 8
"""How often no process could begin a job, before it is a dead letter: some two minutes."""
UNSTARTED_PAUSE_MS = 1_000
UNKNOWN_TYPE_MS_MAX = 3_600_000
UNKNOWN_TYPE_DELAY_MS = (5_000, 600_000)


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a decision may look at."""

    job_id: str
    carried: Carried
    policy: Policy
    now_ms: int
    """Broker time."""
    window_ms: int
    """The dedup window: no wait may be longer, or its rows would not live to see the job again."""
    crashes: int = 0
    unstarted: int = 0
    """How often in a row no process here could begin it."""
    enqueued_ms: int | None = None
    """Broker time of the job's first append since its last redrive; copies carry it on."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Done: one row."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Copy to the ladder with these headers, then the row that absorbs this delivery."""

    carried: Carried
    cut: bool = False
    """The wanted delay was longer than the window and was cut."""


@dataclass(frozen=True, slots=True)
class Postpone:
    """Its turn is later: copy to the ladder with these headers, then the row. Uses no attempt."""

    carried: Carried


@dataclass(frozen=True, slots=True)
class RetryInPlace:
    """Run again in place after `delay_ms` as attempt `attempt`, the key held all the while."""

    attempt: int
    delay_ms: int
    snoozes: int = 0
    first_failed_ms: int | None = None
    """None while it was only snoozed."""
    cut: bool = False
    """The wanted delay was longer than the window and was cut."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Copy to the dead letters with these headers, then the row."""

    carried: Carried
    pointer: bool = False
    """The record is too big to copy: the letter names the place of its bytes instead."""


@dataclass(frozen=True, slots=True)
class End:
    """Terminal without a dead letter."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class CountCrash:
    """Its process died: count it in a row, then start it again in a child process of its own."""

    crashes: int
    pause_ms: int


@dataclass(frozen=True, slots=True)
class LetGo:
    """It is to begin and needs its unique key no more: a row says so, and then it begins."""


@dataclass(frozen=True, slots=True)
class WaitInPlace:
    """Nothing was begun and nothing is settled: begin again in place after `delay_ms`."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Settle nothing; the delivery comes again."""


Decision = (Finish | Retry | Postpone | RetryInPlace | DeadLetter | End) | (
    CountCrash | LetGo | WaitInPlace | Leave
)

FINISH: Final = Finish()
LEAVE = Leave()
LET_GO: Final = LetGo()
EXPIRED = End(known.EXPIRED, "expired")


def decide(case: Case, outcome: Outcome) -> Decision:
    """What settles this delivery."""
    match outcome:
        case Done():
            return FINISH
        case Interrupted():
            return LEAVE
        case Cancelled(reason):
            return End(known.CANCELLED, reason)
        case Expired():
            return EXPIRED
        case DeclaredDead(reason, message, spot):
            return dead_letter(case, reason, "", message, spot)
        case Again():
            return _again(case, outcome)
        case Raised():
            return _failed(case, outcome)
        case Unreadable(message):
            return _unreadable(case, message)
        case TimedOut(after_ms, spot):
            return _retried(case, "jobstream.Timeout", f"still running after {after_ms} ms", spot)
        case Crashed() | Unstarted():
            return _without_end(case, outcome)
        case _:
            assert_never(outcome)


def unknown_type(case: Case, job_type: str) -> Retry | DeadLetter:
    """A type that has no handler here."""
    message = (
        f"no handler for {job_type!r}: the worker that took the job knows none. Does the module"
        " that its command names import the one with the handler?"
    )
    return _awaits_code(case, "unknown_type", "jobstream.UnknownType", message)


def unknown_schema(case: Case, message: str) -> Retry | DeadLetter:
    """Bytes of a schema that this worker has not seen; `message` says so."""
    return _awaits_code(case, "unknown_type", "jobstream.UnknownSchema", message)


def _awaits_code(case: Case, reason: str, error: str, message: str) -> Retry | DeadLetter:
    """Other code than this may run it: perhaps a rolling deploy, so wait a bounded time for it."""
    # From when no code was found, not from its first failure: a job may have retried for long.
    since = min(case.carried.unknown_since_ms or case.now_ms, case.now_ms)
    delay = _wait_for_code_ms(case.now_ms - since)
    if delay is None:
        return dead_letter(case, reason, error, message)
    told = _told(replace(case.carried, unknown_since_ms=since), error, message)
    return _retry(case, told, delay)


def _unreadable(case: Case, message: str) -> Retry | RetryInPlace | DeadLetter:
    """The type is known, but other code than this wrote the args. Uses no attempt."""
    reason, error = "schema_mismatch", "jobstream.SchemaMismatch"
    if not case.policy.holds_key:
        return _awaits_code(case, reason, error, message)
    # Its order holds over a deploy, too. In place there is only the first failure to count from.
    since = _first_failed(case)
    delay = _wait_for_code_ms(case.now_ms - since)
    if delay is None:
        return dead_letter(case, reason, error, message)
    return _retry_by_policy(case, replace(case.carried, first_failed_ms=since), delay)


def _wait_for_code_ms(age_ms: int) -> int | None:
    """How long to wait for code that may run it, after `age_ms` without; None if long enough."""
    low, high = UNKNOWN_TYPE_DELAY_MS
    left = UNKNOWN_TYPE_MS_MAX - age_ms
    return min(max(age_ms, low), high, left) if left > 0 else None


def not_due(case: Case) -> Retry | None:
    """Back to the ladder, for a job that came to its queue long before its time; else None.

    The delayer had heard that it is cancelled. If it still is, its end takes the place of this; if
    not any more, or not yet here, it must not run early.
    """
    early_ms = (case.carried.due_ms or 0) - case.now_ms
    if early_ms < EARLY_MS:
        return None
    carried = replace(
        case.carried, seq=case.carried.seq + 1, delay_ms=early_ms, enqueued_ms=case.enqueued_ms
    )
    return Retry(carried)


def postponed(case: Case, verdict: NotBefore) -> Postpone:
    """Back at its turn, or at the dedup window's end if that is earlier: then it is asked again.

    Its own time is never cut, since no other header tells it to who asks again.
    """
    carried, reason = case.carried, verdict.reason
    wait_ms = max(0, verdict.until_ms - case.now_ms)
    if not verdict.own:
        wait_ms = min(wait_ms, case.window_ms)
    since_ms = carried.waits_since_ms if carried.waits == reason else None
    return Postpone(
        replace(
            carried,
            seq=carried.seq + 1,
            delay_ms=wait_ms,
            due_ms=case.now_ms + wait_ms,
            enqueued_ms=case.enqueued_ms,
            waits=reason,
            waits_since_ms=min(since_ms or case.now_ms, case.now_ms),
        )
    )


def _again(case: Case, wanted: Again) -> Decision:
    carried = case.carried
    if wanted.uses_attempt:
        error, spot = "jobstream.RetryAfter", wanted.spot
        if _is_exhausted(case):
            return dead_letter(case, "attempts_exhausted", error, wanted.reason, spot)
        told = _told(_next_attempt(case), error, wanted.reason, spot)
        return _retry_by_policy(case, told, wanted.delay_ms)
    if carried.snoozes >= case.policy.snoozes_max:
        return dead_letter(
            case, "snoozes_exhausted", "jobstream.Snooze", wanted.reason, wanted.spot
        )
    return _retry_by_policy(case, replace(carried, snoozes=carried.snoozes + 1), wanted.delay_ms)


def _failed(case: Case, failure: Raised) -> Decision:
    if case.policy.backoff.is_permanent(failure):
        return dead_letter(case, "permanent", failure.error, failure.message, failure.spot)
    return _retried(case, failure.error, failure.message, failure.spot)


def _retried(case: Case, error: str, message: str, spot: Spot) -> Decision:
    """A transient failure: a timeout always is one, whatever classes the policy lists."""
    carried = case.carried
    if _is_exhausted(case):
        return dead_letter(case, "attempts_exhausted", error, message, spot)
    delay = case.policy.backoff.delay_ms(
        carried.attempt, job_id=case.job_id, redrive=carried.redrive
    )
    return _retry_by_policy(case, _told(_next_attempt(case), error, message, spot), delay)


def _told(carried: Carried, error: str, message: str, spot: Spot = NOWHERE) -> Carried:
    """The headers with what failed last, in place of whatever failed before."""
    return replace(
        carried, error=error, message=message, reason="", frame=spot.frame, traceback=spot.traceback
    )


def _next_attempt(case: Case) -> Carried:
    """The headers after a failed attempt: age counts from the first one."""
    carried = case.carried
    return replace(carried, attempt=carried.attempt + 1, first_failed_ms=_first_failed(case))


def _is_exhausted(case: Case) -> bool:
    age = case.now_ms - _first_failed(case)
    return case.policy.backoff.is_exhausted(case.carried.attempt, age)


def _first_failed(case: Case) -> int:
    # Any program may have written the header: a failure in the future would never grow old.
    return min(case.carried.first_failed_ms or case.now_ms, case.now_ms)


def _without_end(case: Case, outcome: Crashed | Unstarted) -> CountCrash | WaitInPlace | DeadLetter:
    """Its process died: a crash is the job's own, if the job had begun."""
    if isinstance(outcome, Crashed):
        crashes = case.crashes + 1
        if crashes >= CRASHES_MAX:
            return dead_letter(case, "crashed_worker", "jobstream.Crashed", outcome.how)
        return CountCrash(crashes, CRASH_PAUSE_MS * 2 ** (crashes - 1))
    tries = case.unstarted + 1
    if tries >= UNSTARTED_MAX:
        error = "jobstream.ChildNotStarted"
        return dead_letter(case, outcome.reason, error, outcome.how, outcome.spot)
    return WaitInPlace(UNSTARTED_PAUSE_MS * 2 ** (tries - 1))


def _retry_by_policy(case: Case, carried: Carried, delay_ms: int) -> Retry | RetryInPlace:
    """Run again after `delay_ms`, in place or by the ladder, as the type's policy says."""
    if not case.policy.holds_key:
        # It has a handler, so a wait for one is over.
        return _retry(case, replace(carried, unknown_since_ms=None), delay_ms)
    delay = min(delay_ms, case.window_ms)
    return RetryInPlace(
        carried.attempt, delay, carried.snoozes, carried.first_failed_ms, cut=delay < delay_ms
    )


def _retry(case: Case, carried: Carried, delay_ms: int) -> Retry:
    delay = min(delay_ms, case.window_ms)
    moved = replace(
        carried,
        seq=carried.seq + 1,
        delay_ms=delay,
        due_ms=None,
        enqueued_ms=case.enqueued_ms,
        waits="",
        waits_since_ms=None,
    )
    return Retry(moved, cut=delay < delay_ms)


def dead_letter(
    case: Case, reason: str, error: str, message: str, spot: Spot = NOWHERE
) -> DeadLetter:
    """A dead letter for `reason`; its other headers stay as they were."""
    return DeadLetter(
        replace(
            _told(case.carried, error, message, spot),
            delay_ms=None,
            due_ms=None,
            enqueued_ms=case.enqueued_ms,
            first_failed_ms=_first_failed(case),
            reason=reason,
            waits="",
            waits_since_ms=None,
        )
    )
