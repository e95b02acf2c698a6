"""Decisions: the same again after a crash, counted as documented, readable as headers."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from jobstream_processors.core.decide import (
    CRASHES_MAX,
    FINISH,
    LEAVE,
    UNKNOWN_TYPE_MS_MAX,
    UNSTARTED_MAX,
    Case,
    CountCrash,
    DeadLetter,
    End,
    Retry,
    RetryInPlace,
    decide,
    unknown_type,
)
from jobstream_processors.core.headers import Carried, parse, render
from jobstream_processors.core.outcome import (
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
from jobstream_processors.core.retry import Backoff

NOW_MS = 1_700_000_000_000
WINDOW_MS = 86_400_000

texts = st.text(max_size=20)
trips = st.builds(
    Carried,
    redrive=st.integers(0, 9),
    seq=st.integers(0, 3_000),
    attempt=st.integers(1, 5),
    unknown_since_ms=st.none() | st.integers(NOW_MS - 3_600_000, NOW_MS),
    delay_ms=st.none() | st.integers(0, WINDOW_MS),
    due_ms=st.none() | st.integers(0, 2 * NOW_MS),
    # Mostly plausible: a job that has failed for ages is exhausted, whatever else holds.
    first_failed_ms=st.none()
    | st.integers(NOW_MS - 3_600_000, NOW_MS + 2 * WINDOW_MS)
    | st.integers(0, 2 * NOW_MS),
    partition=st.none() | st.integers(0, 99),
    snoozes=st.integers(0, 3),
    error=texts,
    message=texts,
    reason=texts,
    origin=texts,
)
backoffs = st.builds(
    Backoff,
    attempts=st.integers(3, 10) | st.just(1),
    first=st.integers(0, 3_600),
    cap=st.integers(3_600, 3 * 86_400),
    max_age=st.none() | st.integers(0, 3 * 86_400),
    dead_on=st.sampled_from([(), (ValueError,)]),
    retry_on=st.sampled_from([None, (OSError,)]),
    jitter=st.booleans(),
)
policies = st.builds(Policy, backoffs, st.booleans(), st.integers(0, 5))
cases = st.builds(
    Case,
    job_id=texts,
    carried=trips,
    policy=policies,
    now_ms=st.integers(NOW_MS, NOW_MS + WINDOW_MS),
    window_ms=st.integers(1, 2 * WINDOW_MS) | st.integers(1, 600_000),
    crashes=st.integers(0, CRASHES_MAX),
    unstarted=st.integers(0, UNSTARTED_MAX),
)
raised = st.sampled_from([ValueError, OSError, KeyError]).map(
    lambda kind: Raised(
        f"builtins.{kind.__name__}", "why", tuple(f"builtins.{c.__name__}" for c in kind.__mro__)
    )
)
waits = st.integers(0, 3 * WINDOW_MS)
again = st.builds(Again, waits, st.booleans(), texts)
timed_out = st.builds(TimedOut, st.integers(1, 10**6))
# Retries are what there is to be wrong about, so half of all outcomes ask for one.
retries = raised | timed_out | again
outcomes = retries | (
    st.builds(Done, st.booleans())
    | st.builds(Cancelled, texts)
    | st.builds(DeclaredDead, texts, texts)
    | st.just(Expired())
    | st.just(Interrupted())
    | st.builds(Crashed, texts)
    | st.builds(Unstarted, texts, texts)
)


@settings(max_examples=300)
@given(cases, outcomes)
def test_repeated_decision_is_the_same_decision(case: Case, outcome: Outcome) -> None:
    assert decide(case, outcome) == decide(case, outcome)


@settings(max_examples=300)
@given(cases, outcomes)
def test_retry_raises_seq_by_exactly_one(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)

    if isinstance(decision, Retry):
        assert decision.carried.seq == case.carried.seq + 1
        assert decision.carried.redrive == case.carried.redrive
    if isinstance(decision, DeadLetter):
        assert decision.carried.seq == case.carried.seq
        assert decision.carried.redrive == case.carried.redrive


@settings(max_examples=300)
@given(cases, outcomes)
def test_attempts_are_counted_and_never_passed(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)
    snoozed = isinstance(outcome, Again) and not outcome.uses_attempt

    match decision:
        case Retry(carried):
            assert carried.attempt == case.carried.attempt + (not snoozed)
            assert carried.snoozes == case.carried.snoozes + snoozed
            assert snoozed or carried.attempt <= case.policy.backoff.attempts
        case RetryInPlace(attempt, _):
            assert attempt == case.carried.attempt + (not snoozed)
            assert snoozed or attempt <= case.policy.backoff.attempts


@settings(max_examples=300)
@given(cases, outcomes)
def test_wait_is_within_the_window_and_says_when_it_was_cut(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)

    if isinstance(decision, RetryInPlace):
        assert 0 <= decision.delay_ms <= case.window_ms
    if isinstance(decision, Retry):
        delay_ms = decision.carried.delay_ms
        assert delay_ms is not None
        assert 0 <= delay_ms <= case.window_ms
        assert decision.carried.due_ms is None
        assert not decision.cut or delay_ms == case.window_ms
        if isinstance(outcome, Again):
            assert delay_ms == min(outcome.delay_ms, case.window_ms)
            assert decision.cut == (outcome.delay_ms > case.window_ms)


@settings(max_examples=300)
@given(cases, outcomes)
def test_age_counts_from_the_first_failure(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)

    known = case.carried.first_failed_ms
    first: int | None = min(known or case.now_ms, case.now_ms)
    if isinstance(outcome, Again) and not outcome.uses_attempt:
        first = known  # A snooze is no failure.
    if isinstance(decision, RetryInPlace):
        assert decision.first_failed_ms == first
        assert decision.delay_ms <= case.window_ms
        assert not decision.cut or decision.delay_ms == case.window_ms
    elif isinstance(decision, Retry):
        assert decision.carried.first_failed_ms == first
        assert decision.carried.unknown_since_ms is None, "it has a handler"
    elif isinstance(decision, DeadLetter):
        assert decision.carried.first_failed_ms == min(known or case.now_ms, case.now_ms)


@settings(max_examples=300)
@given(cases, outcomes)
def test_headers_of_a_copy_can_be_read(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)

    if isinstance(decision, Retry | DeadLetter):
        assert parse(render(decision.carried)) == decision.carried


@given(cases, outcomes)
def test_error_and_place_are_of_the_same_failure(case: Case, outcome: Outcome) -> None:
    before = replace(case.carried, error="old", message="old", frame="old:1", traceback="old")
    has_spot = isinstance(outcome, Raised | TimedOut | DeclaredDead | Again | Unstarted)
    if isinstance(outcome, Raised | TimedOut | DeclaredDead | Again | Unstarted):
        outcome = replace(outcome, spot=Spot("new:2", "new"))

    decision = decide(replace(case, carried=before), outcome)

    if isinstance(decision, Retry | DeadLetter):
        new = ("new:2", "new") if has_spot else ("", "")
        found = decision.carried.frame, decision.carried.traceback
        assert found == (("old:1", "old") if decision.carried.error == "old" else new)


@given(cases, retries)
def test_key_holder_is_retried_in_place_and_others_never_are(
    case: Case, outcome: Raised | TimedOut | Again
) -> None:
    unwanted = Retry if case.policy.holds_key else RetryInPlace

    assert not isinstance(decide(case, outcome), unwanted)


@given(cases, raised)
def test_failure_is_retried_unless_permanent_or_exhausted(case: Case, failure: Raised) -> None:
    decision = decide(case, failure)
    backoff = case.policy.backoff
    age_ms = max(0, case.now_ms - (case.carried.first_failed_ms or case.now_ms))

    if backoff.is_permanent(failure):
        reason = "permanent"
    elif backoff.is_exhausted(case.carried.attempt, age_ms):
        reason = "attempts_exhausted"
    else:
        assert isinstance(decision, Retry | RetryInPlace)
        return
    assert isinstance(decision, DeadLetter)
    assert (decision.carried.reason, decision.carried.error) == (reason, failure.error)


@given(cases, timed_out)
def test_timeout_is_transient_whatever_classes_are_listed(case: Case, outcome: TimedOut) -> None:
    decision = decide(case, outcome)

    if isinstance(decision, DeadLetter):
        assert decision.carried.reason == "attempts_exhausted"


@given(cases, texts)
def test_plain_ends(case: Case, text: str) -> None:
    assert decide(case, Done()) is FINISH
    assert decide(case, Interrupted()) is LEAVE
    assert decide(case, Expired()) == End("expired", "expired")
    assert decide(case, Cancelled(text)) == End("cancelled", text)
    dead = decide(case, DeclaredDead("dead_by_handler", text))
    assert isinstance(dead, DeadLetter)
    assert (dead.carried.reason, dead.carried.message) == ("dead_by_handler", text)


@given(cases)
def test_third_counted_death_is_the_last(case: Case) -> None:
    decision = decide(case, Crashed("signal 11"))

    if case.crashes + 1 >= CRASHES_MAX:
        assert isinstance(decision, DeadLetter)
        assert decision.carried.reason == "crashed_worker"
    else:
        assert decision == CountCrash(case.crashes + 1, 1_000 * 2**case.crashes)


@given(cases, st.integers(0, 60_000))
def test_what_this_code_cannot_read_waits_an_hour_and_uses_no_attempt(
    case: Case, late_ms: int
) -> None:
    carried = replace(case.carried, unknown_since_ms=None, first_failed_ms=None)
    roomy = replace(case, window_ms=WINDOW_MS, carried=carried)
    decision = decide(roomy, Unreadable("args.a"))
    while isinstance(decision, Retry | RetryInPlace):
        assert isinstance(decision, RetryInPlace) == case.policy.holds_key, "a held key stays held"
        if isinstance(decision, Retry):
            assert decision.carried.attempt == case.carried.attempt
            wait_ms, carried = decision.carried.delay_ms or 0, decision.carried
        else:
            assert (decision.attempt, decision.snoozes) == (carried.attempt, carried.snoozes)
            wait_ms = decision.delay_ms
            carried = replace(carried, first_failed_ms=decision.first_failed_ms)
        roomy = replace(roomy, carried=carried, now_ms=roomy.now_ms + wait_ms + late_ms)
        decision = decide(roomy, Unreadable("args.a"))

    assert isinstance(decision, DeadLetter)
    assert (decision.carried.reason, decision.carried.message) == ("schema_mismatch", "args.a")
    waited_ms = roomy.now_ms - case.now_ms
    assert UNKNOWN_TYPE_MS_MAX <= waited_ms <= UNKNOWN_TYPE_MS_MAX + late_ms


@given(cases, st.integers(0, 60_000))
def test_unknown_type_waits_an_hour_and_uses_no_attempt(case: Case, late_ms: int) -> None:
    # However long it has failed before, if it did.
    carried = replace(case.carried, unknown_since_ms=None)
    roomy = replace(case, window_ms=WINDOW_MS, carried=carried)
    decision, waits_ms = unknown_type(roomy, "shop.receipt"), 0
    while isinstance(decision, Retry):
        assert decision.carried.attempt == case.carried.attempt
        waits_ms += decision.carried.delay_ms or 0
        now_ms = roomy.now_ms + (decision.carried.delay_ms or 0) + late_ms
        roomy = replace(roomy, carried=decision.carried, now_ms=now_ms)
        decision = unknown_type(roomy, "shop.receipt")

    assert decision.carried.reason == "unknown_type"
    assert decision.carried.attempt == case.carried.attempt
    assert waits_ms <= UNKNOWN_TYPE_MS_MAX
    assert UNKNOWN_TYPE_MS_MAX <= roomy.now_ms - case.now_ms <= UNKNOWN_TYPE_MS_MAX + late_ms
