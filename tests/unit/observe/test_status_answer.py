"""What a process tells of itself at `/status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobstream.observe.observed import WORKER, Observed
from jobstream_processors.core.breaker_guard import BreakerFacts
from jobstream_processors.core.circuit import State
from jobstream_processors.watch.standing import Standing

if TYPE_CHECKING:
    from jobstream_processors.worker import Worker


class Keeps:
    """A worker that keeps jobs of one partition from their runs."""

    def standing(self) -> Standing:
        kept = {("shop.mail", 3): ["flood", "rate"]}
        breakers = (BreakerFacts("smtp", State.OPEN, 1_000, "", (("own", 2), ("shared", 1))),)
        return Standing((), (), 4, ticked_s=0.0, leaving=False, kept=kept, breakers=breakers)


def test_the_answer_has_the_gates_that_keep_jobs_from_their_runs() -> None:
    seen = Observed("shop", [WORKER], {}, {}, 1.0)
    seen.worker = cast("Worker", Keeps())

    waits = seen.probes().status()["waits"]

    assert waits == [{"partition": "shop.mail:3", "reasons": ["flood", "rate"]}]


def test_breakers_are_in_the_answer_and_in_the_metrics() -> None:
    seen = Observed("shop", [WORKER], {}, {}, 1.0)
    seen.worker = cast("Worker", Keeps())

    assert seen.probes().status()["breakers"] == [
        {"name": "smtp", "state": "open", "until_ms": 1_000, "held": ""}
    ]
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for collector in seen.collectors()
        for family in collector.collect()
        for sample in family.samples
        if "breaker" in sample.labels
    }
    assert samples == {
        ("jobs_breaker_state", "smtp"): 2,
        ("jobs_breaker_openings_total", "smtp", "own"): 2,
        ("jobs_breaker_openings_total", "smtp", "shared"): 1,
    }
