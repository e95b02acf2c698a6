"""A job's records become bars over time: in order, within the drawing, bounded in number."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.harness.bad_minute import NOW, STEPS

from jobstream.answers.job_screen import JobStep
from jobstream.web.pages.job_timeline import BARS_MAX, LANES_MAX, timeline


def test_each_stretch_has_its_attempt_length_and_reason() -> None:
    drawn = timeline(STEPS, NOW, has_ended=True)

    assert drawn is not None
    told = [(each.lane, each.kind, each.label, each.seconds) for each in drawn.stretches]
    assert told == [
        (0, "queue", "on the queue, and run", 201.0),
        (1, "retry", "waits to be tried again", 7.0),
        (1, "queue", "on the queue, and run", 194.0),
        (2, "wait", "waits: breaker", 38.0),
        (2, "queue", "on the queue, and run", 212.0),
        (2, "dead", "dead", 0.0),
        (2, "dead", "dead", 0.0),
    ]
    assert drawn.lanes == ("attempt 1", "attempt 2", "attempt 3")
    assert drawn.seconds == 652.0


def test_job_that_goes_on_is_drawn_up_to_now() -> None:
    drawn = timeline(STEPS[:1], NOW, has_ended=False)

    assert drawn is not None
    assert drawn.ends == NOW
    assert [(each.left, each.width) for each in drawn.stretches] == [("0.000%", "100.000%")]


def test_nothing_known_is_no_drawing() -> None:
    assert timeline((), NOW, has_ended=True) is None


def test_attempts_after_a_redrive_are_named_so() -> None:
    again = replace(STEPS[0], at=NOW, detail={"redrive": 1, "attempt": 1})

    drawn = timeline((*STEPS, again), NOW, has_ended=False)

    assert drawn is not None
    assert drawn.lanes[-1] == "redrive 1, attempt 1"


STEP = st.builds(
    lambda what, seconds, attempt, redrive, state: JobStep(
        NOW + timedelta(seconds=seconds), what, "q", "t", 0, 0,
        {"attempt": attempt, "redrive": redrive, "state": state}, "",
    ),
    st.sampled_from(["queued", "waits", "row", "dead letter", "letter closed"]),
    st.integers(-10**6, 10**6),
    st.integers(0, 300) | st.none(),
    st.integers(0, 3),
    st.sampled_from(["done", "dead", "claim", ""]),
)  # fmt: skip


@given(st.lists(STEP, min_size=1, max_size=400), st.booleans())
def test_bars_lie_within_the_drawing(steps: list[JobStep], has_ended: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    ordered = sorted(steps, key=lambda step: step.at)

    drawn = timeline(ordered, NOW, has_ended=has_ended)

    assert drawn is not None
    assert len(drawn.stretches) <= BARS_MAX
    assert len(drawn.lanes) <= LANES_MAX
    for each in drawn.stretches:
        left, width = float(each.left[:-1]), float(each.width[:-1])
        assert 0 <= left <= 100
        assert width > 0
        assert left + width <= 100.01
        assert 0 <= each.lane < len(drawn.lanes)
