"""No thread of ours ends unheard."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from jobstream.kafka.follow.control_topic import ControlFollower, told_record
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream_processors.assignment.mirror import MirrorThread, MirrorWriter
from jobstream_processors.background import aside, ended_soon, in_background, log_end
from jobstream_processors.core.orders import PAUSE_QUEUE
from jobstream_processors.errors import PublishFailure, TableUnavailable
from jobstream_processors.settle.letter_closer import Closer
from jobstream_schemas import Catalogue, ControlRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Never

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.orders import Orders
    from jobstream_processors.ports import Outgoing, Told

LIMIT_S = 120.0
OFFSETS = "shop.offsets"


def raising(error: BaseException) -> Callable[..., Never]:
    def fail(*_: object) -> Never:
        raise error

    return fail


@pytest.fixture
def heard() -> SimpleQueue[BaseException]:
    return SimpleQueue()


@pytest.mark.parametrize("error", [ValueError("fault"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_ends_a_thread_is_told(
    heard: SimpleQueue[BaseException], error: BaseException
) -> None:
    thread = in_background("some-thread", raising(error), heard.put)

    assert heard.get(timeout=LIMIT_S) is error
    assert (thread.name, thread.daemon) == ("some-thread", True)


def test_a_thread_that_returns_tells_nothing(heard: SimpleQueue[BaseException]) -> None:
    in_background("some-thread", list, heard.put).join(LIMIT_S)

    assert heard.empty()


def test_one_that_hears_and_fails_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    in_background("a", raising(ValueError("first")), raising(OSError("second"))).join(LIMIT_S)
    in_background("b", raising(ValueError("third")), log_end("b")).join(LIMIT_S)

    first, second = [r for r in caplog.records if r.message == "thread_failed"]
    assert first.levelno == second.levelno == logging.ERROR
    assert first.exc_info is not None
    assert str(first.exc_info[1]) == "second"
    assert second.exc_info is not None
    assert str(second.exc_info[1]) == "third"


class Refusing:
    """A sink that acknowledges nothing, and fails in the end."""

    def __init__(self, times: int, error: Exception) -> None:
        self._left, self._error = times, error

    def publish(self, records: Sequence[Outgoing]) -> Never:
        raise AssertionError(records)

    def publish_soon(self, record: Outgoing, done: Told) -> None:  # noqa: ARG002 - as the port has it
        if not self._left:
            raise self._error
        self._left -= 1
        done(PublishFailure("no leader", code="_MSG_TIMED_OUT"))

    def send(self, records: object) -> Never:
        raise AssertionError(records)

    def send_rows(self, place: object, rows: object) -> Never:
        raise AssertionError(place, rows)


def test_a_mirror_that_was_not_acknowledged_is_tried_again_and_another_error_is_told(
    shop: Shop, heard: SimpleQueue[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    lanes: list[Lane] = [shop.lane()]
    fault = TableUnavailable("fault")
    mirrors = MirrorThread(
        MirrorWriter("shop", OFFSETS, Refusing(2, fault), shop.clock),
        lambda: lanes,
        0.001,
        heard.put,
        lambda _: None,
    )
    mirrors.start()

    assert heard.get(timeout=LIMIT_S) is fault
    told = [vars(entry) for entry in caplog.records if entry.msg == "mirror_failed"]
    assert [(each["code"], each["reason"]) for each in told] == [
        ("_MSG_TIMED_OUT", "no leader")
    ] * 2


def test_a_listener_that_fails_is_told_and_not_only_the_last_one_to_hear_of_orders(
    shop: Shop, heard: SimpleQueue[BaseException]
) -> None:
    shop.broker.create_topic("shop.control", compacted=True)
    follower = ControlFollower(shop.log, "shop.control")
    fault = RuntimeError("fault")

    def obey(orders: Orders) -> None:
        if orders.queues:
            raise fault

    follower.listen(shop.clock.broker_ms(), obey)
    follower.follow(shop.clock, heard.put, 0.001)
    told = ControlRecord(PAUSE_QUEUE, "mail", "ann", "", 60_000, {})
    shop.sink.publish([told_record("shop.control", told)])

    assert heard.get(timeout=LIMIT_S) is fault


def test_a_closer_goes_on_after_an_error_of_a_broker_and_tells_of_its_end(
    shop: Shop, heard: SimpleQueue[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = [shop.lane()]
    ends = iter([TableUnavailable("away"), OSError("away"), SystemExit(1)])

    def span(*_: object) -> Never:
        raise next(ends)

    monkeypatch.setattr(shop.log, "span", span)

    Closer(shop.plans, shop.log, shop.sink, lambda: lanes).start(0.001, heard.put)

    assert isinstance(heard.get(timeout=LIMIT_S), SystemExit)


def test_schemas_that_can_not_be_read_are_read_later(
    shop: Shop, heard: SimpleQueue[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = SchemaFollower(shop.log, "shop.schemas", Catalogue())
    ends = iter([TableUnavailable("away"), GeneratorExit()])

    def catch_up() -> Never:
        raise next(ends)

    monkeypatch.setattr(follower, "catch_up", catch_up)

    follower.follow(0.001, heard.put)

    assert isinstance(heard.get(timeout=LIMIT_S), GeneratorExit)


def test_a_call_aside_shares_no_thread_with_user_code() -> None:
    said: ContextVar[str] = ContextVar("said")
    release = threading.Event()

    def names_itself(what: str) -> tuple[str, str, bool]:
        here = threading.current_thread()
        return what + said.get(), here.name, here.daemon

    async def main() -> None:
        loop = asyncio.get_running_loop()
        # Given a pool of the loop's that handlers have filled, and another that they shut down
        loop.set_default_executor(pool := ThreadPoolExecutor(1))
        stuck = loop.run_in_executor(None, release.wait, LIMIT_S)
        said.set("!")
        try:
            told = await asyncio.wait_for(aside("jobstream-trial", names_itself, "hello"), LIMIT_S)
            assert told == ("hello!", "jobstream-trial", True)
            pool.shutdown(wait=False)
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(aside("jobstream-trial", divmod, 1, 0), LIMIT_S)
        finally:
            release.set()
            await stuck

    asyncio.run(main())


def test_a_call_aside_that_raises_stop_iteration_ends() -> None:
    """A future takes no such error: it would never be told, and its caller wait for ever."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="jobstream-trial raised StopIteration") as raised:
            await asyncio.wait_for(aside("jobstream-trial", next, iter(())), LIMIT_S)
        assert isinstance(raised.value.__cause__, StopIteration)

    asyncio.run(main())


def test_a_pool_that_something_keeps_is_left_behind() -> None:
    release = threading.Event()
    pool = ThreadPoolExecutor(1)
    kept = pool.submit(release.wait, LIMIT_S)

    async def main() -> None:
        await asyncio.wait_for(ended_soon(pool, limit_s=0.01), LIMIT_S / 2)

    asyncio.run(main())
    assert not kept.done()
    release.set()
