"""No producer's clock says when a job runs or expires, or how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

import pytest
from tests.harness.no_offset import NoOffset

from jobstream import App, Backoff, ConfigError, Context, Job
from jobstream.testing import MemoryJobs, memory
from jobstream.testing.memory_transport import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
OFF = pytest.mark.parametrize("ahead_ms", [-365 * DAY_MS, -2 * HOUR_MS, 0, 2 * HOUR_MS, DAY_MS])
"""By how much the producer's clock is ahead."""


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass
class Shop:
    app: App
    jobs: MemoryJobs
    ran: list[tuple[str, int]]
    """Who, and when by the broker's clock."""
    send: Job[Mail, object]
    """Fails once for "fails", and is retried after an hour."""

    def set_producer(self, ahead_ms: int) -> None:
        self.app.bind(MemoryTransport(self.jobs.broker, ahead_ms))

    def instant(self, in_ms: int) -> datetime:
        """In so many milliseconds by the broker's clock."""
        at = datetime.fromtimestamp(self.jobs.clock.broker_ms() / 1_000, UTC)
        return at + timedelta(milliseconds=in_ms)

    def end_of(self, job_id: str) -> str:
        (found,) = self.jobs.seen(job_id)
        return found.state


@pytest.fixture
def shop() -> Iterator[Shop]:
    app = App("shop")
    queue = app.queue("mail", partitions=1)
    made: list[Shop] = []
    ran: list[tuple[str, int]] = []
    hourly = Backoff(attempts=3, first="1h", cap="1h", jitter=False)

    @app.job(queue=queue, retry=hourly)
    async def send(args: Mail, ctx: Context) -> None:
        ran.append((args.to, made[0].jobs.clock.broker_ms()))
        if args.to == "fails" and ctx.attempt == 1:
            raise OSError

    with memory(app) as jobs:
        made.append(Shop(app, jobs, ran, send))
        yield made[0]


@OFF
@pytest.mark.parametrize("in_ms", [1, 4_000, 300_000, 26 * HOUR_MS])
def test_run_at_is_an_instant_on_the_brokers_clock(shop: Shop, ahead_ms: int, in_ms: int) -> None:
    shop.set_producer(ahead_ms)
    due_ms = shop.jobs.clock.broker_ms() + in_ms
    shop.send.enqueue(Mail("ann"), run_at=shop.instant(in_ms))

    shop.jobs.run_until_idle()

    ((_, at_ms),) = shop.ran
    assert due_ms <= at_ms <= due_ms + 1_000


@pytest.mark.parametrize("zone", [None, NoOffset()])
def test_run_at_without_an_offset_is_refused(shop: Shop, zone: tzinfo | None) -> None:
    naive = datetime(2030, 1, 1, tzinfo=zone)

    with pytest.raises(ConfigError, match="is not a datetime with a time zone; give an aware one"):
        shop.send.enqueue(Mail("ann"), run_at=naive)


@OFF
@pytest.mark.parametrize("past_ms", [0, HOUR_MS, 80 * 365 * DAY_MS])
def test_run_at_in_the_past_runs_at_once(shop: Shop, ahead_ms: int, past_ms: int) -> None:
    shop.set_producer(ahead_ms)
    now_ms = shop.jobs.clock.broker_ms()
    shop.send.enqueue(Mail("ann"), run_at=shop.instant(-past_ms))

    shop.jobs.run_until_idle()

    assert shop.ran == [("ann", now_ms)]


@OFF
def test_a_delay_counts_from_the_append(shop: Shop, ahead_ms: int) -> None:
    shop.set_producer(ahead_ms)
    due_ms = shop.jobs.clock.broker_ms() + 150_000
    shop.send.enqueue(Mail("ann"), delay="150s")

    shop.jobs.run_until_idle()

    assert shop.ran == [("ann", due_ms)]


@OFF
def test_an_expiry_counts_from_the_first_append(shop: Shop, ahead_ms: int) -> None:
    shop.set_producer(ahead_ms)
    late = shop.send.enqueue(Mail("late"), expires_in="5m").job_id
    timely = shop.send.enqueue(Mail("timely"), expires_in="11m").job_id
    shop.jobs.clock.advance(600_000)

    shop.jobs.run_until_idle()

    assert (shop.end_of(late), shop.end_of(timely)) == ("expired", "done")


@OFF
@pytest.mark.parametrize("how", ["delay", "run_at", "retry"])
def test_an_expiry_survives_every_hop_and_retry(shop: Shop, ahead_ms: int, how: str) -> None:
    shop.set_producer(ahead_ms)
    ended = {}
    for expires_in in ("59m", "61m"):
        if how == "delay":
            job = shop.send.enqueue(Mail("ann"), delay="1h", expires_in=expires_in)
        elif how == "run_at":
            at = shop.instant(HOUR_MS)
            job = shop.send.enqueue(Mail("ann"), run_at=at, expires_in=expires_in)
        else:
            job = shop.send.enqueue(Mail("fails"), expires_in=expires_in)
        ended[expires_in] = job.job_id

    shop.jobs.run_until_idle()

    assert [shop.end_of(job_id) for job_id in ended.values()] == ["expired", "done"]


@OFF
def test_how_long_a_job_took_is_told_by_the_brokers_clock(shop: Shop, ahead_ms: int) -> None:
    shop.set_producer(ahead_ms)
    shop.send.enqueue(Mail("ann"))
    shop.send.enqueue(Mail("fails"))
    shop.jobs.run_until_idle()

    (meter,) = (m for m in shop.jobs._worker.meter.queues["mail"].meters() if m.done)  # noqa: SLF001 - as a process counts
    counts, total_s = meter.end_to_end.shown
    assert sum(counts) == 2
    # One was retried after an hour; the other took as long as this test.
    assert 3_600 <= total_s < 3_600 + 60


@pytest.mark.parametrize(
    ("ahead_ms", "told_s"), [(61_000, [61]), (-HOUR_MS, [-3_600]), (60_000, []), (-60_000, [])]
)
def test_a_producer_whose_clock_is_off_is_told_once_by_how_much(
    shop: Shop, ahead_ms: int, told_s: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    shop.set_producer(ahead_ms)
    for _ in range(3):
        shop.send.enqueue(Mail("ann"))

    told = [record for record in caplog.records if record.message == "producer_clock_off"]
    assert [getattr(record, "ahead_s", None) for record in told] == told_s
