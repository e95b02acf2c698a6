"""Clocks of producer, worker, delayer and brokers differ and jump: jobs run when brokers say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from jobstream import App
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.testing import memory
from jobstream.testing.memory_transport import MemoryTransport
from jobstream.testing.memory_worker import MemoryWorker

HOUR_MS = 3_600_000
STEP_MS = 1_000
off = st.sampled_from([0, 0, -400 * 24 * HOUR_MS, -2 * HOUR_MS, 61_000, 2 * HOUR_MS])
"""By how much a clock that nothing may go by is ahead."""
apart = st.tuples(*[st.integers(-200, 200)] * 3)
"""By how much each broker's is: never in perfect step."""


@dataclass(frozen=True)
class Mail:
    number: int


@dataclass(frozen=True)
class Wish:
    """A job that is enqueued, and when it is to run."""

    delay_ms: int
    expires_ms: int
    by_instant: bool


wishes = st.lists(
    st.builds(
        Wish,
        st.integers(0, 90_000),
        st.sampled_from([1_000, 30_000, 10**6]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(wishes, off, st.tuples(off, off), apart, st.integers(0, 60_000))
def test_no_clock_but_the_brokers_says_when_a_job_runs(
    wanted: list[Wish],
    producer_ms: int,
    walls_ms: tuple[int, int],
    brokers_ms: tuple[int, int, int],
    away_ms: int,
) -> None:
    app, ran = App("shop"), dict[int, int]()
    queue = app.queue("mail", partitions=2)

    @app.job(queue=queue)
    async def send(args: Mail) -> None:
        ran[args.number] = jobs.clock.monotonic_ms()

    with memory(app) as jobs:
        jobs.broker.skew(*brokers_ms)
        app.bind(MemoryTransport(jobs.broker, producer_ms))
        epoch_ms = jobs.clock.broker_ms() - jobs.clock.monotonic_ms()
        due: dict[int, int] = {}
        for number, wish in enumerate(wanted):
            now_ms = jobs.clock.monotonic_ms()
            due[number] = now_ms + wish.delay_ms
            how: dict[str, object] = {"delay": timedelta(milliseconds=wish.delay_ms)}
            if wish.by_instant:
                at = datetime.fromtimestamp((epoch_ms + due[number]) / 1_000, UTC)
                how = {"run_at": at}
            life = timedelta(milliseconds=wish.expires_ms)
            send.enqueue(Mail(number), expires_in=life, **how)  # type: ignore[arg-type]
        # Nobody works for a while; then one does whose machine's clock is wrong, and jumps.
        jobs.clock.advance(away_ms)
        machine = jobs.clock.machine(walls_ms[0])
        worker = MemoryWorker(app, jobs.broker, BrokerClock(machine))
        while jobs.clock.monotonic_ms() < max(due.values()) + away_ms + 10 * STEP_MS:
            worker.turn()
            machine.set_wall(walls_ms[1])
            jobs.clock.advance(STEP_MS)
        worker.close()

    for number, wish in enumerate(wanted):
        late_ms = max(0, away_ms - wish.delay_ms) + 6 * STEP_MS
        expires = wish.expires_ms < wish.delay_ms - 400 or wish.expires_ms < away_ms - 400
        if number not in ran:
            # It may not have been begun in time by what the brokers say.
            assert wish.expires_ms <= max(wish.delay_ms, away_ms) + 6 * STEP_MS
            continue
        assert not expires
        assert due[number] - 400 <= ran[number] <= due[number] + late_ms
