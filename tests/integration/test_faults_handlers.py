"""Handlers that misbehave end with a reason, and never take the worker or a neighbour with them."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Backoff, Cancel, Context, Dead, RetryAfter, Snooze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Case:
    how: str


class Odd(BaseException):
    """Derives from no Exception, as libraries should not do and some do."""


class Unprintable(Exception):
    def __str__(self) -> str:
        message = "not even this"
        raise RuntimeError(message)


class Rude(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


LEAVE = threading.Event()
GATE_S = 900
"""So long a handler waits for LEAVE: longer than a test waits for anything."""
STARTED: list[str] = []


def raises(error: Callable[[], BaseException]) -> None:
    raise error()


FAULTS: dict[str, Callable[[], BaseException]] = {
    "odd": lambda: Odd("what is this"),
    "exit": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt("from the handler"),
    "cancelled": lambda: asyncio.CancelledError("by itself"),
    "generator": lambda: GeneratorExit("by itself"),
    "unprintable": Unprintable,
    "rude": Rude,
    "two outcomes": lambda: BaseExceptionGroup("two", [Dead("a"), Cancel("b")]),
    "stop": lambda: StopIteration("leaks out"),
    "memory": MemoryError,
    "surrogate": lambda: ValueError("half of a pair: \udcff"),
    "long": lambda: ValueError("x" * 1_000_000),
}
"""How a handler fails; each is one failed attempt."""

WANTED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "dead": (lambda: Dead("order is gone"), "dead"),
    "dead in a group": (lambda: BaseExceptionGroup("g", [Dead("gone"), ValueError()]), "dead"),
    "cancel": (lambda: Cancel("not wanted"), "cancelled"),
    "cancel in groups": (
        lambda: BaseExceptionGroup("g", [BaseExceptionGroup("h", [Cancel("no")])]),
        "cancelled",
    ),
    "retry without attempts left": (lambda: RetryAfter("0s", "try later"), "dead"),
}


ONCE = Backoff(attempts=1)
DECLARED: list[tuple[Callable[..., object], dict[str, Any]]] = []
LEAKED: list[asyncio.Task[Any]] = []


def declared(**options: Any) -> Callable[[Callable[..., object]], None]:  # noqa: ANN401 - options of a job
    """Note a handler, to be given to the app once there is a broker."""
    return lambda handler: DECLARED.append((handler, options))


@declared(retry=ONCE)
async def on_loop(args: Case) -> None:
    raises(FAULTS[args.how])


@declared(retry=ONCE)
async def on_loop_later(args: Case) -> None:
    await asyncio.sleep(0)
    raises(FAULTS[args.how])


@declared(retry=ONCE)
def in_thread(args: Case) -> None:
    raises(FAULTS[args.how])


@declared(retry=ONCE)
async def wants(args: Case) -> None:
    raises(WANTED[args.how][0])


@declared()
async def snoozes_once(args: Case, ctx: Context) -> None:
    STARTED.append(f"{args.how} {ctx.attempt} {ctx.seq}")
    if ctx.seq == 0:
        delay = "10ms"
        raise Snooze(delay)


@declared()
async def returns(args: Case) -> object:
    return {"nonsense": args.how}


@declared(retry=ONCE, timeout="200ms")
async def swallows(args: Case) -> None:
    STARTED.append(args.how)
    while not LEAVE.is_set():
        try:
            await asyncio.sleep(0.05)  # work
        except asyncio.CancelledError:
            continue


@declared(retry=ONCE, timeout="200ms")
async def too_slow(args: Case) -> None:  # noqa: ARG001 - a handler has args
    await asyncio.Event().wait()


@declared(retry=ONCE, timeout="200ms")
def blocks(args: Case) -> None:
    STARTED.append(args.how)
    LEAVE.wait(GATE_S)


@declared()
def follows(args: Case) -> None:
    STARTED.append(args.how)


@declared()
async def leaks(args: Case) -> None:
    async def goes_on() -> None:
        await asyncio.sleep(0)
        raise Odd(args.how) if args.how == "raises" else ValueError(args.how)

    LEAKED.append(asyncio.create_task(goes_on()))


@declared(retry=ONCE)
async def cancels_itself(args: Case) -> None:  # noqa: ARG001 - a handler has args
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@declared(retry=ONCE)
async def waits(args: Case) -> None:  # noqa: ARG001 - a handler has args
    await asyncio.sleep(0)


@declared(retry=ONCE)
def wraps(args: Case) -> object:
    return never_awaited(args)


async def never_awaited(args: Case) -> None:
    STARTED.append(args.how)


@declared()
async def holds_up(args: Case) -> None:
    STARTED.append(args.how)
    LEAVE.wait(GATE_S)


@pytest.fixture(scope="module")
def served(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    app = App(
        f"faults-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path_factory.mktemp("state"),
        commit_interval="200ms",
        drain="1s",
    )
    app.queue("default", partitions=2)
    for handler, options in DECLARED:
        app.job(**options)(handler)
    with Served(app) as served:
        yield served
        LEAVE.set()


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    LEAVE.clear()
    yield
    LEAVE.set()


def enqueue(served: Served, job: str, how: str, key: str | None = None) -> str:
    return served.app.jobs[job].enqueue(Case(how), key=key).job_id


def assert_goes_on(served: Served) -> None:
    """Neighbours on the loop and in threads, in every partition, still run."""
    ids = [enqueue(served, "follows", f"{n}", key=f"{n}") for n in range(8)]
    ids.append(enqueue(served, "wants", "cancel"))
    assert [served.end_of(job_id) for job_id in ids] == ["done"] * 8 + ["cancelled"]


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("job", ["on_loop", "on_loop_later", "in_thread"])
def test_any_exception_is_one_failed_attempt(served: Served, job: str, how: str) -> None:
    job_id = enqueue(served, job, how)

    letter = served.letter_of(job_id)

    assert letter.reason == "attempts_exhausted"
    assert letter.told("error").rpartition(".")[2]
    assert len(letter.headers["js-message"] or b"") <= 1_000 if how == "long" else True
    assert_goes_on(served)


@pytest.mark.parametrize(("how", "state"), [(how, end) for how, (_, end) in WANTED.items()])
def test_outcome_ends_the_job(served: Served, how: str, state: str) -> None:
    job_id = enqueue(served, "wants", how)

    assert served.end_of(job_id) == state


def test_snooze_uses_no_attempt(served: Served) -> None:
    job_id = enqueue(served, "snoozes_once", name := str(uuid.uuid4()))

    assert served.end_of(job_id) == "done"
    assert [told for told in STARTED if name in told] == [f"{name} 1 0", f"{name} 1 1"]


def test_returned_value_is_done_and_warned_of_once(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "jobstream.worker"):
        ids = [enqueue(served, "returns", str(n)) for n in range(5)]
        assert [served.end_of(job_id) for job_id in ids] == ["done"] * 5

    warned = [record for record in caplog.records if record.msg == "handler_returned_a_value"]
    assert len(warned) == 1


def test_coroutine_that_nobody_awaits_is_not_done(served: Served) -> None:
    letter = served.letter_of(enqueue(served, "wraps", "never runs"))

    assert letter.told("error") == "jobstream.NotAwaited"
    assert "never runs" not in STARTED


def test_async_handler_past_its_limit_is_cancelled(served: Served) -> None:
    letter = served.letter_of(enqueue(served, "too_slow", "x"))

    assert letter.told("error") == "jobstream.Timeout"
    assert "200 ms" in letter.told("message")


def test_handler_that_swallows_cancellation_is_settled_all_the_same(served: Served) -> None:
    job_id = enqueue(served, "swallows", "cancellation")
    wait_until(lambda: "cancellation" in STARTED, "it runs", limit_s=180)

    assert_goes_on(served)

    letter = served.letter_of(job_id)
    assert letter.told("error") == "jobstream.Timeout"
    assert_goes_on(served)


def test_thread_past_its_limit_is_settled_and_keeps_its_key(served: Served) -> None:
    first = enqueue(served, "blocks", "first of the key", key="one key")
    second = enqueue(served, "follows", "second of the key", key="one key")

    assert served.letter_of(first).told("error") == "jobstream.Timeout"
    assert_goes_on(served)
    assert "second of the key" not in STARTED

    LEAVE.set()
    assert served.end_of(second) == "done"


@pytest.mark.parametrize("how", ["raises", "fails"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_leaked_task_harms_nobody(served: Served, how: str) -> None:
    assert served.end_of(enqueue(served, "leaks", how)) == "done"
    LEAKED.clear()
    gc.collect()

    assert_goes_on(served)


def test_handler_that_cancels_its_own_task_harms_no_neighbour(served: Served) -> None:
    # Given a loop that is held up, so that all these jobs are taken up in one go
    gate = enqueue(served, "holds_up", "the loop")
    wait_until(lambda: "the loop" in STARTED, "the loop is held up", limit_s=180)
    cancel = [served.app.jobs["cancels_itself"], served.app.jobs["waits"]]
    ids = [cancel[n % 2].enqueue(Case("x"), key=f"{n}").job_id for n in range(60)]

    LEAVE.set()

    assert served.end_of(gate) == "done"
    assert {served.end_of(job_id) for job_id in ids[1::2]} == {"done"}
    assert {served.end_of(job_id) for job_id in ids[::2]} <= {"done", "dead"}
    assert_goes_on(served)
