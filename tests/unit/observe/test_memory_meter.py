"""The worker in memory counts as one on Kafka does, by the test's own clock."""

from __future__ import annotations

from dataclasses import dataclass

from jobstream import App, Backoff, Context
from jobstream.testing import memory


@dataclass(frozen=True)
class Mail:
    to: str


def test_a_job_that_waits_on_the_ladder_in_virtual_time() -> None:
    app = App("shop")

    @app.job(retry=Backoff(attempts=3, first="10m", jitter=False))
    async def send(_args: Mail, ctx: Context) -> None:
        if ctx.attempt < 2:
            raise ConnectionError

    with memory(app) as jobs:
        send.enqueue(Mail("ann"))
        jobs.run_until_idle()
        worker = jobs._worker  # noqa: SLF001 - no API: a meter is for those who run workers
        worker.meter.fold()
        found = worker.meter.queues["default"].of("send")

    assert (found.done, found.settled["retry"], found.retries["10m"]) == (1, 1, 1)
    assert found.failures["transient"] == 1
    counts, total = found.end_to_end.shown
    assert sum(counts) == 1
    # The producer's clock is the machine's own, a little ahead of the broker's here.
    assert 590 <= total < 660
    assert found.attempts.shown[0][:2] == (0, 1)
