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
    Bury,
    Case,
    Charge,
    Climb,
    Drop,
    Park,
    Policy,
    decide,
    unknown_type,
)
from jobstream_processors.core.headers import Trip, parse, render
from jobstream_processors.core.outcome import (
    Again,
    Buried,
    Cancelled,
    Crashed,
    Done,
    Expired,
    Interrupted,
    Outcome,
    Raised,
    TimedOut,
    Unreadable,
    Unstarted,
)
from jobstream_processors.core.retry import Backoff
from jobstream_processors.core.spot import Spot

NOW_MS = 1_700_000_000_000
WINDOW_MS = 86_400_000

texts = st.text(max_size=20)
trips = st.builds(
    Trip,
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
    trip=trips,
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
    | st.builds(Buried, texts, texts)
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

    if isinstance(decision, Climb):
        assert decision.trip.seq == case.trip.seq + 1
        assert decision.trip.redrive == case.trip.redrive
    if isinstance(decision, Bury):
        assert decision.trip.seq == case.trip.seq
        assert decision.trip.redrive == case.trip.redrive


@settings(max_examples=300)
@given(cases, outcomes)
def test_attempts_are_counted_and_never_passed(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)
    snoozed = isinstance(outcome, Again) and not outcome.uses_attempt

    match decision:
        case Climb(trip):
            assert trip.attempt == case.trip.attempt + (not snoozed)
            assert trip.snoozes == case.trip.snoozes + snoozed
            assert snoozed or trip.attempt <= case.policy.backoff.attempts
        case Park(attempt, _):
            assert attempt == case.trip.attempt + (not snoozed)
            assert snoozed or attempt <= case.policy.backoff.attempts


@settings(max_examples=300)
@given(cases, outcomes)
def test_wait_is_within_the_window_and_says_when_it_was_cut(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)

    if isinstance(decision, Park):
        assert 0 <= decision.delay_ms <= case.window_ms
    if isinstance(decision, Climb):
        delay_ms = decision.trip.delay_ms
        assert delay_ms is not None
        assert 0 <= delay_ms <= case.window_ms
        assert decision.trip.due_ms is None
        assert not decision.cut or delay_ms == case.window_ms
        if isinstance(outcome, Again):
            assert delay_ms == min(outcome.delay_ms, case.window_ms)
            assert decision.cut == (outcome.delay_ms > case.window_ms)


@settings(max_examples=300)
@given(cases, outcomes)
def test_age_counts_from_the_first_failure(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)

    known = case.trip.first_failed_ms
    first: int | None = min(known or case.now_ms, case.now_ms)
    if isinstance(outcome, Again) and not outcome.uses_attempt:
        first = known  # A snooze is no failure.
    if isinstance(decision, Park):
        assert decision.first_failed_ms == first
        assert decision.delay_ms <= case.window_ms
        assert not decision.cut or decision.delay_ms == case.window_ms
    elif isinstance(decision, Climb):
        assert decision.trip.first_failed_ms == first
        assert decision.trip.unknown_since_ms is None, "it has a handler"
    elif isinstance(decision, Bury):
        assert decision.trip.first_failed_ms == min(known or case.now_ms, case.now_ms)


@settings(max_examples=300)
@given(cases, outcomes)
def test_headers_of_a_copy_can_be_read(case: Case, outcome: Outcome) -> None:
    decision = decide(case, outcome)

    if isinstance(decision, Climb | Bury):
        assert parse(render(decision.trip)) == decision.trip


@given(cases, outcomes)
def test_error_and_place_are_of_the_same_failure(case: Case, outcome: Outcome) -> None:
    before = replace(case.trip, error="old", message="old", frame="old:1", traceback="old")
    has_spot = isinstance(outcome, Raised | TimedOut | Buried | Again | Unstarted)
    if isinstance(outcome, Raised | TimedOut | Buried | Again | Unstarted):
        outcome = replace(outcome, spot=Spot("new:2", "new"))

    decision = decide(replace(case, trip=before), outcome)

    if isinstance(decision, Climb | Bury):
        new = ("new:2", "new") if has_spot else ("", "")
        found = decision.trip.frame, decision.trip.traceback
        assert found == (("old:1", "old") if decision.trip.error == "old" else new)


@given(cases, retries)
def test_key_holder_never_climbs_and_others_never_park(
    case: Case, outcome: Raised | TimedOut | Again
) -> None:
    unwanted = Climb if case.policy.holds_key else Park

    assert not isinstance(decide(case, outcome), unwanted)


@given(cases, raised)
def test_failure_is_retried_unless_permanent_or_exhausted(case: Case, failure: Raised) -> None:
    decision = decide(case, failure)
    backoff = case.policy.backoff
    age_ms = max(0, case.now_ms - (case.trip.first_failed_ms or case.now_ms))

    if backoff.is_permanent(failure):
        reason = "permanent"
    elif backoff.is_exhausted(case.trip.attempt, age_ms):
        reason = "attempts_exhausted"
    else:
        assert isinstance(decision, Climb | Park)
        return
    assert isinstance(decision, Bury)
    assert (decision.trip.reason, decision.trip.error) == (reason, failure.error)


@given(cases, timed_out)
def test_timeout_is_transient_whatever_classes_are_listed(case: Case, outcome: TimedOut) -> None:
    decision = decide(case, outcome)

    if isinstance(decision, Bury):
        assert decision.trip.reason == "attempts_exhausted"


@given(cases, texts)
def test_plain_ends(case: Case, text: str) -> None:
    assert decide(case, Done()) is FINISH
    assert decide(case, Interrupted()) is LEAVE
    assert decide(case, Expired()) == Drop("expired", "expired")
    assert decide(case, Cancelled(text)) == Drop("cancelled", text)
    buried = decide(case, Buried("dead_by_handler", text))
    assert isinstance(buried, Bury)
    assert (buried.trip.reason, buried.trip.message) == ("dead_by_handler", text)


@given(cases)
def test_third_charged_death_buries(case: Case) -> None:
    decision = decide(case, Crashed("signal 11"))

    if case.crashes + 1 >= CRASHES_MAX:
        assert isinstance(decision, Bury)
        assert decision.trip.reason == "crashed_worker"
    else:
        assert decision == Charge(case.crashes + 1, 1_000 * 2**case.crashes)


@given(cases, st.integers(0, 60_000))
def test_what_this_code_cannot_read_waits_an_hour_and_uses_no_attempt(
    case: Case, late_ms: int
) -> None:
    trip = replace(case.trip, unknown_since_ms=None, first_failed_ms=None)
    roomy = replace(case, window_ms=WINDOW_MS, trip=trip)
    decision = decide(roomy, Unreadable("args.a"))
    while isinstance(decision, Climb | Park):
        assert isinstance(decision, Park) == case.policy.holds_key, "a held key stays held"
        if isinstance(decision, Climb):
            assert decision.trip.attempt == case.trip.attempt
            wait_ms, trip = decision.trip.delay_ms or 0, decision.trip
        else:
            assert (decision.attempt, decision.snoozes) == (trip.attempt, trip.snoozes)
            wait_ms = decision.delay_ms
            trip = replace(trip, first_failed_ms=decision.first_failed_ms)
        roomy = replace(roomy, trip=trip, now_ms=roomy.now_ms + wait_ms + late_ms)
        decision = decide(roomy, Unreadable("args.a"))

    assert isinstance(decision, Bury)
    assert (decision.trip.reason, decision.trip.message) == ("schema_mismatch", "args.a")
    waited_ms = roomy.now_ms - case.now_ms
    assert UNKNOWN_TYPE_MS_MAX <= waited_ms <= UNKNOWN_TYPE_MS_MAX + late_ms


@given(cases, st.integers(0, 60_000))
def test_unknown_type_waits_an_hour_and_uses_no_attempt(case: Case, late_ms: int) -> None:
    # However long it has failed before, if it did.
    trip = replace(case.trip, unknown_since_ms=None)
    roomy = replace(case, window_ms=WINDOW_MS, trip=trip)
    decision, waits_ms = unknown_type(roomy, "shop.receipt"), 0
    while isinstance(decision, Climb):
        assert decision.trip.attempt == case.trip.attempt
        waits_ms += decision.trip.delay_ms or 0
        now_ms = roomy.now_ms + (decision.trip.delay_ms or 0) + late_ms
        roomy = replace(roomy, trip=decision.trip, now_ms=now_ms)
        decision = unknown_type(roomy, "shop.receipt")

    assert decision.trip.reason == "unknown_type"
    assert decision.trip.attempt == case.trip.attempt
    assert waits_ms <= UNKNOWN_TYPE_MS_MAX
    assert UNKNOWN_TYPE_MS_MAX <= roomy.now_ms - case.now_ms <= UNKNOWN_TYPE_MS_MAX + late_ms
