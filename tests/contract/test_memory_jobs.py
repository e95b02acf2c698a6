"""Users' tests of their jobs: an app bound to memory, its jobs run by the worker's own parts."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import (
    App,
    Backoff,
    Cancel,
    ConfigError,
    Context,
    Dead,
    EnqueueTimeout,
    Failure,
    Job,
    Snooze,
)
from jobstream.testing import MemoryJobs, memory
from jobstream.testing.errors import NotIdle
from jobstream.topics.sizes import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Mail:
    to: str
    times: int = 0


@dataclass
class Shop:
    """An app, its job types, and what their handlers did."""

    app: App
    send: Job[Mail, object]
    fails: Job[Mail, object]
    parks: Job[Mail, object]
    ran: list[str]


@pytest.fixture(params=SIZES)
def made(request: pytest.FixtureRequest) -> Shop:
    app = App("shop", size=request.param)
    queue = app.queue("mail")
    ran: list[str] = []

    @app.job(queue=queue)
    async def send(args: Mail) -> None:
        ran.append(args.to)

    @app.job(queue=queue, retry=Backoff(attempts=3, first="5s", factor=2, cap="1h"))
    def fails(args: Mail, ctx: Context) -> None:
        ran.append(args.to)
        if ctx.attempt <= args.times:
            message = f"attempt {ctx.attempt}"
            raise OSError(message)

    hourly = Backoff(attempts=5, first="1h", cap="1h", jitter=False)

    @app.job(queue=queue, on_failure="hold_key", retry=hourly)
    async def parks(args: Mail, ctx: Context) -> None:
        ran.append(f"{args.to}/{ctx.attempt}")
        if ctx.attempt <= args.times:
            raise OSError

    return Shop(app, send, fails, parks, ran)


@pytest.fixture
def jobs(made: Shop) -> Iterator[MemoryJobs]:
    with memory(made.app) as bound:
        yield bound


def test_nothing_runs_before_it_is_told_to(made: Shop, jobs: MemoryJobs) -> None:
    enqueued = made.send.enqueue(Mail("ann"))

    assert made.ran == []
    jobs.assert_enqueued(made.send, Mail("ann"), count=1)
    (seen,) = jobs.seen(enqueued)
    assert (seen.state, seen.args, seen.queue) == ("waiting", Mail("ann"), "mail")


def test_runs_what_was_enqueued(made: Shop, jobs: MemoryJobs) -> None:
    names = [f"n{number}" for number in range(50)]
    ids = made.send.enqueue_many(Mail(name) for name in names)

    jobs.run_until_idle()

    assert sorted(made.ran) == sorted(names)
    assert [job.id for job in jobs.assert_done(made.send)] == ids


def test_a_key_runs_in_enqueue_order(made: Shop, jobs: MemoryJobs) -> None:
    for number in range(20):
        made.send.enqueue(Mail(str(number)), key="ann")

    jobs.run_until_idle()

    assert made.ran == [str(number) for number in range(20)]


def test_a_delay_costs_no_time_and_is_not_cut_short(made: Shop, jobs: MemoryJobs) -> None:
    enqueued = made.send.enqueue(Mail("later"), delay="30d")
    begun_ms = jobs.clock.monotonic_ms()

    jobs.run_for("29d")
    assert made.ran == []

    jobs.run_until_idle()
    assert made.ran == ["later"]
    assert jobs.clock.monotonic_ms() - begun_ms >= 30 * 24 * HOUR_MS
    jobs.assert_done(enqueued)


def test_time_runs_for_exactly_what_was_asked(jobs: MemoryJobs) -> None:
    begun_ms = jobs.clock.monotonic_ms()

    jobs.run_for("10m")

    assert jobs.clock.monotonic_ms() - begun_ms == 600_000


def test_a_failure_is_retried_after_its_backoff(made: Shop, jobs: MemoryJobs) -> None:
    enqueued = made.fails.enqueue(Mail("ann", times=2))

    jobs.run_until_idle()

    assert made.ran == ["ann"] * 3
    (job,) = jobs.assert_done(enqueued)
    assert job.attempt == 3


def test_attempts_end_in_a_dead_letter(made: Shop, jobs: MemoryJobs) -> None:
    enqueued = made.fails.enqueue(Mail("ann", times=9))

    jobs.run_until_idle()

    assert made.ran == ["ann"] * 3
    (job,) = jobs.assert_dead(enqueued, why="OSError")
    assert (job.reason, job.message) == ("attempts_exhausted", "attempt 3")
    with pytest.raises(AssertionError, match="not of 'ValueError'"):
        jobs.assert_dead(enqueued, why="ValueError")


def test_a_key_held_in_place_waits_its_hour(made: Shop, jobs: MemoryJobs) -> None:
    made.parks.enqueue(Mail("first", times=1), key="k")
    made.parks.enqueue(Mail("second"), key="k")

    jobs.run_for("1s")
    assert made.ran == ["first/1"]

    jobs.run_until_idle()
    assert made.ran == ["first/1", "first/2", "second/1"]


def test_outcomes_are_seen() -> None:
    app = App("shop")
    seen = Counter[str]()
    raised = {"cancel": Cancel("not wanted"), "dead": Dead("order is gone"), "late": Snooze("1h")}

    @app.job
    async def ends(args: Mail, ctx: Context) -> None:
        seen[args.to] += 1
        if ctx.seq == 0:
            raise raised[args.to]

    with memory(app) as jobs:
        enqueued = {to: ends.enqueue(Mail(to)) for to in raised}
        jobs.run_until_idle()

        states = {to: jobs.seen(job)[0].state for to, job in enqueued.items()}
        jobs.assert_dead(enqueued["dead"], why="order is gone")
    assert states == {"cancel": "cancelled", "dead": "dead", "late": "done"}
    assert seen == {"cancel": 1, "dead": 1, "late": 2}


def test_a_repeat_with_the_same_key_runs_once(made: Shop, jobs: MemoryJobs) -> None:
    first = made.send.enqueue(Mail("ann"), idempotency_key="o-1")
    jobs.run_until_idle()
    second = made.send.enqueue(Mail("ann"), idempotency_key="o-1")
    jobs.run_until_idle()

    assert first.job_id == second.job_id
    assert made.ran == ["ann"]
    jobs.assert_enqueued(made.send, count=1)


def test_a_rebalance_runs_nothing_twice(made: Shop, jobs: MemoryJobs) -> None:
    for number in range(30):
        made.send.enqueue(Mail(str(number)))
        if number % 10 == 5:
            jobs.broker.rebalance()
            jobs.run_until_idle()

    jobs.run_until_idle()

    assert Counter(made.ran) == {str(number): 1 for number in range(30)}


def test_a_rebalance_waits_for_what_runs() -> None:
    app = App("shop")
    ran: list[str] = []

    @app.job
    async def moves(args: Mail) -> None:
        ran.append(args.to)
        bound.broker.rebalance()
        await asyncio.sleep(0.1)  # work

    with memory(app) as bound:
        moves.enqueue(Mail("ann"))
        bound.run_until_idle()

        bound.assert_done(moves)
    assert ran == ["ann"]


def test_a_lost_session_runs_nothing_settled_twice(made: Shop, jobs: MemoryJobs) -> None:
    made.send.enqueue_many(Mail(str(number)) for number in range(10))
    jobs.run_until_idle()
    for member in set(jobs.broker.owners("shop").values()):
        jobs.broker.expire(member)
    made.send.enqueue_many(Mail(str(number)) for number in range(10, 20))

    jobs.run_until_idle()

    assert Counter(made.ran) == {str(number): 1 for number in range(20)}


def test_lost_offsets_run_nothing_settled_twice(made: Shop, jobs: MemoryJobs) -> None:
    made.send.enqueue_many(Mail(str(number)) for number in range(10))
    jobs.run_until_idle()
    jobs.broker.group("shop").committed.clear()
    for member in set(jobs.broker.owners("shop").values()):
        jobs.broker.expire(member)

    jobs.run_until_idle()

    assert len(made.ran) == 10


@pytest.mark.parametrize("count", [1, 2, 7])
def test_failed_publishes_lose_and_double_nothing(made: Shop, jobs: MemoryJobs, count: int) -> None:
    made.fails.enqueue_many(Mail(str(number), times=1) for number in range(20))

    jobs.broker.fail_publishes(count)
    jobs.run_until_idle()

    # A copy whose acknowledgement was lost is published again; the table drops the second one.
    assert Counter(made.ran) == {str(number): 2 for number in range(20)}
    assert len(jobs.assert_done(made.fails)) == 20


def test_a_hop_made_twice_runs_its_job_once(made: Shop, jobs: MemoryJobs) -> None:
    made.send.enqueue(Mail("ann"), delay="1s")

    # The delayer's first copy is in the log, and it never hears of that: it makes another.
    unheard = iter([True])
    jobs.broker.fail_publishes(
        lambda record: record.topic == "shop.mail" and next(unheard, False), fate="appended"
    )
    jobs.run_until_idle()

    assert len(list(jobs.broker.records("shop.mail"))) == 2
    assert made.ran == ["ann"]


def test_an_enqueue_without_acknowledgement_says_so(made: Shop, jobs: MemoryJobs) -> None:
    made.send.enqueue(Mail("known schema"))
    jobs.broker.fail_publishes(1, fate="appended")

    with pytest.raises(EnqueueTimeout, match="may still be written"):
        made.send.enqueue(Mail("ann"), idempotency_key="o-1")
    made.send.enqueue(Mail("ann"), idempotency_key="o-1")
    jobs.run_until_idle()

    assert made.ran.count("ann") == 1


def test_slow_publishes_take_virtual_time(made: Shop, jobs: MemoryJobs) -> None:
    jobs.broker.slow_publishes(2_000)
    begun_ms = jobs.clock.monotonic_ms()

    made.send.enqueue(Mail("ann"))
    jobs.run_until_idle()

    assert made.ran == ["ann"]
    assert jobs.clock.monotonic_ms() - begun_ms >= 4_000


def test_works_from_inside_a_running_loop(made: Shop) -> None:
    async def scenario() -> None:
        with memory(made.app) as jobs:
            await made.send.aenqueue(Mail("ann"))
            await jobs.arun_until_idle()
            jobs.assert_done(made.send)

    asyncio.run(scenario())
    assert made.ran == ["ann"]


def test_what_never_ends_is_told(made: Shop, jobs: MemoryJobs) -> None:
    made.send.enqueue(Mail("ann"))
    jobs.broker.fail_publishes(lambda record: (record.key or b"").startswith(b"job:"))

    with pytest.raises(NotIdle, match="ann"):
        jobs.run_until_idle(timeout_s=0.5)
    jobs.broker.heal()


def test_asserts_say_what_there_is(made: Shop, jobs: MemoryJobs) -> None:
    enqueued = made.send.enqueue(Mail("ann"))

    with pytest.raises(AssertionError, match=r"exactly 2 .* found 1(.|\n)*ann"):
        jobs.assert_enqueued(made.send, count=2)
    with pytest.raises(AssertionError, match="bob"):
        jobs.assert_enqueued(made.send, Mail("bob"))
    with pytest.raises(AssertionError, match=f"{enqueued.job_id} is not done"):
        jobs.assert_done(enqueued)
    with pytest.raises(AssertionError, match="'fails' was not enqueued"):
        jobs.assert_done(made.fails)


def test_each_block_begins_with_an_empty_log(made: Shop) -> None:
    with memory(made.app) as jobs:
        made.send.enqueue(Mail("ann"))
        assert len(jobs.seen()) == 1
    with memory(made.app) as jobs:
        assert jobs.seen() == []
        made.send.enqueue(Mail("bob"))
        jobs.run_until_idle()

    assert made.ran == ["bob"]


@pytest.mark.parametrize("given", [None, "request-9"])
def test_children_and_their_children_share_one_correlation_id(given: str | None) -> None:
    app = App("shop")
    seen: list[tuple[str, str | None]] = []

    @app.job
    def leaf(args: Mail, ctx: Context) -> None:
        seen.append((args.to, ctx.correlation_id))

    @app.job
    def branch(args: Mail, ctx: Context) -> None:
        seen.append((args.to, ctx.correlation_id))
        ctx.enqueue(leaf, Mail("leaf"))

    @app.job
    def root(args: Mail, ctx: Context) -> None:
        seen.append((args.to, ctx.correlation_id))
        ctx.enqueue(branch, Mail("branch"))

    with memory(app) as jobs:
        enqueued = root.enqueue(Mail("root"), correlation_id=given)
        jobs.run_until_idle()

    shared = given or enqueued.job_id
    assert seen == [("root", given), ("branch", shared), ("leaf", shared)]


def test_failed_runs_are_told_with_the_exception_itself(made: Shop) -> None:
    told: list[Failure] = []
    made.app.on_failure(told.append)

    with memory(made.app) as jobs:
        enqueued = made.fails.enqueue(Mail("ann", times=9))
        made.send.enqueue(Mail("bob"))
        jobs.run_until_idle()

    assert [(f.job_id, f.attempt, f.decision, f.reason) for f in told] == [
        (enqueued.job_id, 1, "retry", ""),
        (enqueued.job_id, 2, "retry", ""),
        (enqueued.job_id, 3, "dead", "attempts_exhausted"),
    ]
    assert [str(f.exception) for f in told] == ["attempt 1", "attempt 2", "attempt 3"]
    assert all(isinstance(f.exception, OSError) and "in fails" in f.traceback for f in told)


def test_only_a_plain_function_is_told_of_failures(made: Shop) -> None:
    async def later(_: Failure) -> None:
        """Nobody would await it."""

    with pytest.raises(ConfigError, match="plain function"):
        made.app.on_failure(later)
    with pytest.raises(ConfigError, match="plain function"):
        made.app.on_failure("log")  # type: ignore[arg-type] # on purpose
