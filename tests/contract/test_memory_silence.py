"""A worker that hears nothing of its group for as long as a session begins nothing more."""

from __future__ import annotations

from dataclasses import dataclass

from tests.harness.member import Member

from jobstream import App, Backoff, Context
from jobstream.testing import MemoryBroker, MemorySource, memory


@dataclass(frozen=True)
class Work:
    n: int


def test_nothing_begins_in_a_silence_longer_than_a_session() -> None:
    # Given a job that failed, and is to run again in place two seconds later
    app = App("hush")
    starts: list[int] = []

    @app.job(
        queue=app.queue("q", partitions=1),
        retry=Backoff(attempts=3, first="2s", factor=1, jitter=False),
        on_failure="hold_key",
    )
    async def flaky(_args: Work, ctx: Context) -> None:
        starts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise OSError

    with memory(app) as jobs:
        flaky.enqueue(Work(1), key="k")
        jobs.run_for("1s")

        # When no broker has answered for a minute, then it waits
        jobs.broker.freeze()
        jobs.clock.advance(60_000)
        jobs.run_for("1ms")
        assert starts == [1]

        # And it begins once one answers
        jobs.broker.thaw()
        jobs.run_until_idle()
        assert starts == [1, 2]


def test_a_frozen_broker_tells_nobody_anything() -> None:
    broker = MemoryBroker()
    broker.create_topic("t")
    source = MemorySource(broker, "g", ["t"])
    member = Member(source)
    source.listen(member)

    broker.freeze()
    member.turn()
    broker.clock.advance(3_000)
    assert (member.owned, source.is_silent(2_000), source.is_silent(4_000)) == (set(), True, False)

    broker.thaw()
    member.turn()
    assert (member.owned, source.is_silent(2_000)) == ({("t", 0)}, False)
