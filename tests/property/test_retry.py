"""Backoff: bounded, growing, repeatable, and spread over jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.retry import ATTEMPTS_MAX, Backoff, draw

attempts = st.integers(1, ATTEMPTS_MAX)
redrives = st.integers(0, 1_000_000)
ids = st.text(max_size=40)


@st.composite
def backoffs(draw_from: st.DrawFn) -> Backoff:
    first = draw_from(st.integers(0, 400 * 86_400))
    cap = draw_from(st.integers(first, 401 * 86_400))
    return Backoff(
        attempts=draw_from(attempts),
        first=first,
        cap=cap,
        factor=draw_from(st.floats(1.0, 100.0)),
        jitter=draw_from(st.booleans()),
        max_age=draw_from(st.none() | st.integers(0, 400 * 86_400)),
    )


@given(backoffs(), attempts, ids, redrives)
def test_wait_stays_between_nothing_and_the_ceiling(
    backoff: Backoff, attempt: int, job_id: str, redrive: int
) -> None:
    wait = backoff.delay_ms(attempt, job_id=job_id, redrive=redrive)

    assert 0 <= wait <= backoff.ceiling_ms(attempt) <= backoff.cap_ms


@given(backoffs(), attempts)
def test_ceiling_never_falls(backoff: Backoff, attempt: int) -> None:
    assert backoff.ceiling_ms(attempt) <= backoff.ceiling_ms(attempt + 1)


@given(backoffs(), attempts, ids, redrives)
def test_repeated_decision_is_the_same_decision(
    backoff: Backoff, attempt: int, job_id: str, redrive: int
) -> None:
    waits = {backoff.delay_ms(attempt, job_id=job_id, redrive=redrive) for _ in range(3)}

    assert len(waits) == 1


@given(backoffs(), attempts)
def test_without_jitter_the_wait_is_the_ceiling(backoff: Backoff, attempt: int) -> None:
    plain = Backoff(first=backoff.first, cap=backoff.cap, factor=backoff.factor, jitter=False)

    assert plain.delay_ms(attempt, job_id="a", redrive=0) == plain.ceiling_ms(attempt)


@given(ids, redrives, attempts)
def test_draw_is_a_fraction(job_id: str, redrive: int, attempt: int) -> None:
    assert 0.0 <= draw(job_id, redrive, attempt) <= 1.0


@given(st.integers(0, 10), st.integers(1, 10), st.text(max_size=5))
def test_jobs_that_failed_together_do_not_return_together(
    redrive: int, attempt: int, crowd: str
) -> None:
    """Ten equal slices of the wait get their share of 2,000 jobs: 200, give or take 7 sigma."""
    slices = [0] * 10
    for number in range(2_000):
        slices[min(9, int(draw(f"{crowd}{number}", redrive, attempt) * 10))] += 1

    assert all(106 <= count <= 294 for count in slices), slices


@given(backoffs(), attempts, st.integers(0, 10**12), st.integers(0, 10**12))
def test_exhausted_stays_exhausted(backoff: Backoff, attempt: int, age: int, later: int) -> None:
    if backoff.is_exhausted(attempt, age):
        assert backoff.is_exhausted(attempt + 1, age)
        assert backoff.is_exhausted(attempt, age + later)
    assert backoff.is_exhausted(backoff.attempts, age)
