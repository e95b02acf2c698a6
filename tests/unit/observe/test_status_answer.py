"""What a process tells of itself at `/status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobstream.observe.observed import WORKER, Observed
from jobstream_processors.watch.standing import Standing

if TYPE_CHECKING:
    from jobstream_processors.worker import Worker


class Keeps:
    """A worker that keeps jobs of one partition from their runs."""

    def standing(self) -> Standing:
        kept = {("shop.mail", 3): ["flood", "rate"]}
        return Standing((), (), 4, ticked_s=0.0, leaving=False, kept=kept)


def test_the_answer_has_the_gates_that_keep_jobs_from_their_runs() -> None:
    seen = Observed("shop", [WORKER], {}, {}, 1.0)
    seen.worker = cast("Worker", Keeps())

    waits = seen.probes().status()["waits"]

    assert waits == [{"partition": "shop.mail:3", "reasons": ["flood", "rate"]}]
