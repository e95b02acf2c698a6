"""The ASGI middleware: whose a key is, one run at a time, repeats, leases and expiry."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.keyed_calls import ask
from tests.harness.keyed_handler import Clock, Handler, problem

from jobstream.errors import ConfigError
from jobstream.web import IdempotencyMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.idempotency import KeyOptions, MemoryKeyStore

pytestmark = pytest.mark.anyio


async def test_a_repeat_gets_the_same_answer_and_runs_nothing(store: MemoryKeyStore) -> None:
    handler = Handler(headers=[(b"Location", b"/orders/1"), (b"x-a", b"1"), (b"x-a", b"2")])
    web = IdempotencyMiddleware(handler, store)

    first, second = [await ask(web, "k", b'{"n":1}') for _ in range(2)]

    assert (first.status, first.body, first.header("idempotency-replayed")) == (201, b"1", None)
    assert (second.status, second.body) == (201, b"1")
    assert second.header("idempotency-replayed") == "true"
    assert second.header("location") == "/orders/1"
    assert [value for name, value in second.messages[0]["headers"] if name == b"x-a"] == [
        b"1",
        b"2",
    ]
    assert second.header("content-length") == "1"
    assert handler.bodies == [b'{"n":1}']


@pytest.mark.parametrize("more", [
    {"body": b"other"}, {"path": "/other"}, {"query": b"a=1"}, {"method": "PATCH"},
])  # fmt: skip
async def test_another_request_with_the_key_is_refused(
    store: MemoryKeyStore, more: dict[str, Any]
) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    await ask(web, "k")

    assert problem(await ask(web, "k", **more)) == (422, "idempotency-key-reused")
    assert len(handler.runs) == 1


async def test_keys_are_per_caller(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    callers = [
        (), ((b"authorization", b"Bearer a"),), ((b"authorization", b"Bearer b"),),
        ((b"cookie", b"s=a"),), ((b"cookie", b"s=b"),),
    ]  # fmt: skip

    answers = [await ask(web, "k", headers=caller) for caller in [*callers, *callers]]

    assert [answer.body for answer in answers] == [b"1", b"2", b"3", b"4", b"5"] * 2


async def test_the_service_says_who_asks(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, caller=lambda scope: scope["path"][:2])

    for headers in ((), ((b"authorization", b"Bearer a"),)):
        assert (await ask(web, "k", headers=headers)).body == b"1"


@pytest.mark.parametrize("caller", [None, lambda _scope: "me"])
async def test_services_that_share_a_store_have_keys_of_their_own(
    store: MemoryKeyStore, caller: Callable[[Any], str] | None
) -> None:
    """A gateway sends one key on to several services, with the same credentials."""
    said: list[KeyOptions] = [{"service": name} for name in ("", "stock", "billing")]
    if caller is not None:
        said = [{**each, "caller": caller} for each in said]
    handlers = [Handler() for _ in said]
    webs = [
        IdempotencyMiddleware(handler, store, **each)
        for handler, each in zip(handlers, said, strict=True)
    ]
    for _ in range(2):
        for number, web in enumerate(webs):
            answer = await ask(web, "k", f"{number}".encode())
            assert answer.status == 201

    assert [len(handler.runs) for handler in handlers] == [1, 1, 1]


async def test_a_caller_that_is_no_text_is_an_error_of_the_service(store: MemoryKeyStore) -> None:
    web = IdempotencyMiddleware(Handler(), store, caller=lambda _scope: None)  # type: ignore[arg-type, return-value]

    with pytest.raises(ConfigError, match=r"caller= returned None"):
        await ask(web, "k")


async def test_while_the_first_runs_others_are_told_to_come_back(store: MemoryKeyStore) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store)
    first = asyncio.create_task(ask(web, "k"))
    await handler.began.wait()

    second = await ask(web, "k")
    handler.gate.set()

    assert problem(second) == (409, "idempotency-key-in-use")
    assert second.header("retry-after") == "1"
    assert (await first).status == 201
    assert (await ask(web, "k")).header("idempotency-replayed") == "true"
    assert len(handler.runs) == 1


async def test_of_two_hundred_at_once_one_runs(store: MemoryKeyStore) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store)
    asked = [asyncio.create_task(ask(web, "k")) for _ in range(200)]
    for other in islice(asyncio.as_completed(asked), 199):
        await other
    handler.gate.set()

    answers = await asyncio.gather(*asked)

    assert sorted(answer.status for answer in answers) == [201] + [409] * 199
    assert len(handler.runs) == 1


async def test_after_a_crash_the_lease_frees_the_key_for_the_same_request_alone(
    store: MemoryKeyStore, clock: Clock
) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, lease="30s")
    crashed = asyncio.create_task(ask(web, "k"))
    handler.gate = asyncio.Event()
    await handler.began.wait()

    assert problem(await ask(web, "k"))[0] == 409
    clock.ms += 30_001
    assert problem(await ask(web, "k", b"other"))[0] == 422
    handler.gate.set()
    second = await ask(web, "k")
    zombie = await crashed
    third = await ask(web, "k")

    assert (second.status, second.header("idempotency-not-stored")) == (201, None)
    assert zombie.header("idempotency-not-stored") == "lease-lost"
    assert [run["jobstream.idempotency"].attempt for run in handler.runs] == [1, 2]
    assert third.body == second.body
    assert third.header("idempotency-replayed") == "true"


async def test_a_late_answer_is_kept_where_no_other_run_took_the_key(
    store: MemoryKeyStore, clock: Clock
) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store, lease="30s")
    slow = asyncio.create_task(ask(web, "k"))
    await handler.began.wait()
    clock.ms += 60_000
    handler.gate.set()

    assert (await slow).header("idempotency-not-stored") is None
    assert (await ask(web, "k")).header("idempotency-replayed") == "true"


async def test_answers_expire(store: MemoryKeyStore, clock: Clock) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, keep="1h")
    await ask(web, "k")
    clock.ms += 3_599_999
    assert (await ask(web, "k")).body == b"1"
    clock.ms += 2

    assert (await ask(web, "k", b"another request")).body == b"2"


async def test_a_body_in_chunks_is_the_same_request(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)

    await ask(web, "k", b"abcdef")
    again = await ask(web, "k", chunks=[b"ab", b"", b"cd", b"ef"])

    assert again.header("idempotency-replayed") == "true"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_other_methods_pass(store: MemoryKeyStore, method: str) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, required=True)

    for _ in range(2):
        await ask(web, "k", method=method)

    assert len(handler.runs) == 2
    assert "jobstream.idempotency" not in handler.runs[0]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_what_is_no_request_passes_untouched(store: MemoryKeyStore, kind: str) -> None:
    handler = Handler()
    scope = {"type": kind, "headers": [(b"idempotency-key", b"k")]}

    await IdempotencyMiddleware(handler, store, required=True)(scope, None, None)  # type: ignore[arg-type]

    assert handler.runs[0] is scope


async def test_the_quoted_form_of_the_draft_and_the_bare_one_are_one_key(
    store: MemoryKeyStore,
) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)

    for value in ("8e03978e-40d5", '"8e03978e-40d5"', "  8e03978e-40d5 "):
        assert (await ask(web, value)).body == b"1"
    for value in ('"a,b \\"c\\" \\\\"', "x" * 255):
        assert (await ask(web, value)).status == 201
