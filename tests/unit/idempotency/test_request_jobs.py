"""Jobs that a request with a key enqueues: a request carried out again enqueues the same ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.keyed_calls import ask, ask_wsgi

from jobstream import App, EnqueueError, EnqueuesFailed, Unique, WrongArgs
from jobstream.enqueue.composing import REQUEST
from jobstream.idempotency import MemoryKeyStore, WsgiIdempotency
from jobstream.testing import memory
from jobstream.web import IdempotencyMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from jobstream.testing.memory_jobs import MemoryJobs

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Order:
    n: int


class Shop:
    """An app in memory, and what requests of it enqueued: job ids, by request."""

    def __init__(self) -> None:
        self.app = App("shop", size="small")
        self.runs: list[int] = []

        @self.app.job
        async def ship(order: Order) -> None:
            self.runs.append(order.n)

        @self.app.job
        async def bill(order: Order) -> None:
            self.runs.append(-order.n)

        @self.app.job(unique=Unique(by="n", within="10m"))
        async def once(order: Order) -> None:
            self.runs.append(order.n)

        self.ship, self.bill, self.once = ship, bill, once

    async def ids(
        self,
        enqueue: Callable[[], Awaitable[list[str]]],
        key: str = "k",
        **options: Any,  # noqa: ANN401 - of the middleware
    ) -> list[str]:
        """What a request enqueues in a process of its own, whose store knows no key."""
        found: list[str] = []

        async def handler(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
            del scope, receive
            found.extend(await enqueue())
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        await ask(IdempotencyMiddleware(handler, MemoryKeyStore(), **options), key)
        return found

    async def shipped(self, *numbers: int, **options: Any) -> list[str]:  # noqa: ANN401 - of the enqueue
        return [(await self.ship.aenqueue(Order(n), **options)).job_id for n in numbers]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(autouse=True)
def jobs(shop: Shop) -> Iterator[MemoryJobs]:
    with memory(shop.app) as found:
        yield found


async def test_a_request_that_reaches_another_process_enqueues_the_same_jobs(
    shop: Shop, jobs: MemoryJobs
) -> None:
    first, again = [await shop.ids(lambda: shop.shipped(1, 2, 2)) for _ in range(2)]

    assert first == again
    assert len(set(first)) == 3, "two jobs with the same args are two jobs"
    await asyncio.to_thread(jobs.run_until_idle)
    assert sorted(shop.runs) == [1, 2, 2]


async def test_a_request_that_died_half_way_is_gone_on_with(shop: Shop, jobs: MemoryJobs) -> None:
    async def dies() -> list[str]:
        await shop.shipped(1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await shop.ids(dies)
    await shop.ids(lambda: shop.shipped(1, 2))

    await asyncio.to_thread(jobs.run_until_idle)
    assert sorted(shop.runs) == [1, 2]


async def test_types_keys_callers_and_order_keys_tell_jobs_apart(shop: Shop) -> None:
    async def two_types() -> list[str]:
        sent = [await shop.ship.aenqueue(Order(1)), await shop.bill.aenqueue(Order(1))]
        return [each.job_id for each in sent]

    found = [
        *await shop.ids(two_types),
        *await shop.ids(lambda: shop.shipped(1), key="other"),
        *await shop.ids(lambda: shop.shipped(1), caller=lambda _scope: "me"),
        *await shop.ids(lambda: shop.shipped(1, key="a")),
        *await shop.ids(lambda: shop.shipped(1, key="b")),
    ]

    assert len(set(found)) == 6


async def test_tasks_of_a_request_may_enqueue_in_any_order(shop: Shop) -> None:
    def at_once(*numbers: int) -> Callable[[], Awaitable[list[str]]]:
        async def enqueue() -> list[str]:
            found = await asyncio.gather(*(shop.shipped(n) for n in numbers))
            return sorted(each[0] for each in found)

        return enqueue

    assert await shop.ids(at_once(1, 2, 3)) == await shop.ids(at_once(3, 1, 2))


async def test_many_at_once_are_the_same_jobs(shop: Shop) -> None:
    async def many() -> list[str]:
        return await shop.ship.aenqueue_many([Order(1), Order(1), Order(2)])

    first, again = [await shop.ids(many) for _ in range(2)]

    assert first == again
    assert len(set(first)) == 3


async def test_an_enqueue_that_raised_is_the_same_job_when_it_is_tried_again(
    shop: Shop, jobs: MemoryJobs
) -> None:
    async def tries_again() -> list[str]:
        with pytest.raises(WrongArgs):
            await shop.ship.aenqueue(Order("x"))  # type: ignore[arg-type]
        jobs.broker.fail_publishes(1, fate="appended")
        with pytest.raises(EnqueueError):
            await shop.shipped(1)
        return await shop.shipped(1)

    async def many_again() -> list[str]:
        jobs.broker.fail_publishes(1, fate="appended")
        with pytest.raises(EnqueuesFailed):
            await shop.ship.aenqueue_many([Order(2), Order(3)])
        return await shop.ship.aenqueue_many([Order(2), Order(3)])

    assert await shop.ids(tries_again) == await shop.ids(lambda: shop.shipped(1))
    assert await shop.ids(many_again) == await shop.ids(lambda: shop.shipped(2, 3))
    await asyncio.to_thread(jobs.run_until_idle)
    assert sorted(shop.runs) == [1, 2, 3]


async def test_jobs_that_go_through_the_outbox_have_such_keys_too(shop: Shop) -> None:
    async def written() -> list[str]:
        return [shop.ship.compose(Order(1))[0].id for _ in range(2)]

    first, again = [await shop.ids(written) for _ in range(2)]

    assert first == again
    assert len(set(first)) == 2
    assert first == await shop.ids(lambda: shop.shipped(1, 1)), "by whichever way"


async def test_an_explicit_key_wins(shop: Shop) -> None:
    plain = await shop.shipped(1, idempotency_key="mine")

    assert await shop.ids(lambda: shop.shipped(1, idempotency_key="mine")) == plain


async def test_a_window_of_uniqueness_goes_on_making_ids(shop: Shop) -> None:
    async def enqueue() -> list[str]:
        return [(await shop.once.aenqueue(Order(1))).job_id]

    plain = await enqueue()

    assert await shop.ids(enqueue) == plain
    assert await shop.ids(enqueue, key="other") == plain


async def test_it_can_be_switched_off(shop: Shop) -> None:
    first, again = [await shop.ids(lambda: shop.shipped(1), job_ids=False) for _ in range(2)]

    assert first != again


async def test_what_a_request_leaves_running_is_no_part_of_it(shop: Shop) -> None:
    left: list[asyncio.Task[list[str]]] = []
    ended = asyncio.Event()

    async def later() -> list[str]:
        await ended.wait()
        return await shop.shipped(1)

    async def leaves() -> list[str]:
        left.append(asyncio.create_task(later()))
        return []

    for _ in range(2):
        await shop.ids(leaves)
    ended.set()

    first, again = await asyncio.gather(*left)
    assert first != again


def test_requests_over_wsgi_do_the_same(shop: Shop) -> None:
    found: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI
        del environ
        found.append(shop.ship.enqueue(Order(1)).job_id)
        found.extend(shop.ship.enqueue_many([Order(1), Order(2)]))
        start_response("201 Created", [])
        return [b""]

    for _ in range(2):
        ask_wsgi(WsgiIdempotency(application, MemoryKeyStore()), "k")
    plain = shop.ship.enqueue(Order(1)).job_id

    assert found[:3] == found[3:]
    assert len({*found, plain}) == 4
    assert REQUEST.get() is None
