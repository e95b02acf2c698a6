"""The ASGI middleware: which answers are kept, and what becomes of the others."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.keyed_calls import AwaitedKeyStore, ask, scope_of
from tests.harness.keyed_handler import BODY, Handler, counted, problem
from tests.harness.waiting import wait_until

from jobstream.idempotency.errors import StoreNotReady
from jobstream.web import IdempotencyMiddleware

if TYPE_CHECKING:
    from jobstream.idempotency import MemoryKeyStore

pytestmark = pytest.mark.anyio


async def test_headers_of_one_connection_and_secrets_are_not_repeated(
    store: MemoryKeyStore,
) -> None:
    given = [
        (b"Set-Cookie", b"session=secret"),
        (b"Date", b"now"),
        (b"X-Request-ID", b"r"),
        (b"etag", b"e"),
    ]
    web = IdempotencyMiddleware(Handler(headers=given), store)

    first, second = [await ask(web, "k") for _ in range(2)]

    assert first.header("set-cookie") == "session=secret"
    names = {name for name, _ in second.messages[0]["headers"]}
    assert names == {b"etag", b"idempotency-replayed", b"content-length"}


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 409, 422])
async def test_outcomes_are_kept(store: MemoryKeyStore, status: int) -> None:
    handler = Handler(status, {**BODY, "body": b""})
    web = IdempotencyMiddleware(handler, store)

    assert [(await ask(web, "k")).status for _ in range(2)] == [status] * 2
    assert len(handler.runs) == 1


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 500, 502, 503])
async def test_failures_that_may_pass_run_again(store: MemoryKeyStore, status: int) -> None:
    handler = Handler(status)
    web = IdempotencyMiddleware(handler, store)

    answers = [await ask(web, "k") for _ in range(2)]

    assert [(answer.status, answer.body) for answer in answers] == [(status, b"1"), (status, b"2")]
    assert [run["jobstream.idempotency"].attempt for run in handler.runs] == [1, 2]
    assert problem(await ask(web, "k", b"other")) == (422, "idempotency-key-reused")


async def test_the_service_says_what_is_kept(store: MemoryKeyStore) -> None:
    handler = Handler(500)
    web = IdempotencyMiddleware(handler, store, stores=lambda status: status == 500)

    assert [(await ask(web, "k")).body for _ in range(2)] == [b"1", b"1"]


async def test_an_exception_frees_the_key(store: MemoryKeyStore) -> None:
    handler = Handler(
        201, {**BODY, "body": b"half", "more_body": True}, headers=[(b"content-length", b"9")]
    )
    handler.fails = ValueError("broken")
    web = IdempotencyMiddleware(handler, store)

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await ask(web, "k")

    assert len(handler.runs) == 2


async def test_an_exception_after_the_answer_changes_nothing(store: MemoryKeyStore) -> None:
    handler = Handler(fails=ValueError("in a background task"))
    web = IdempotencyMiddleware(handler, store)
    with pytest.raises(ValueError, match="background"):
        await ask(web, "k")

    assert (await ask(web, "k")).body == b"1"
    assert len(handler.runs) == 1


async def test_the_answer_is_sent_before_background_tasks_run(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    seen: list[dict[str, Any]] = []

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI
        seen.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    handler.after = lambda: seen.append({"type": "background"})
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"idempotency-key", b"k")]}
    await web(scope, receive, send)

    assert [message["type"] for message in seen] == [
        "http.response.start", "http.response.body", "background",
    ]  # fmt: skip


async def test_a_run_that_is_cancelled_frees_the_key(store: MemoryKeyStore) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store)
    first = asyncio.create_task(ask(web, "k"))
    await handler.began.wait()
    first.cancel()
    await asyncio.wait([first])
    handler.gate.set()

    assert (await ask(web, "k")).body == b"2"


async def test_an_answer_is_stored_although_its_request_is_cancelled_meanwhile() -> None:
    handler, store = Handler(), AwaitedKeyStore()
    web = IdempotencyMiddleware(handler, store)
    store.goes_on.set()
    handler.gate = asyncio.Event()
    first = asyncio.create_task(ask(web, "k"))
    await handler.began.wait()
    store.goes_on.clear()
    store.began.clear()
    handler.gate.set()
    await store.began.wait()

    first.cancel()
    await asyncio.wait([first])
    store.goes_on.set()

    assert (await ask(web, "k")).body == b"1"
    assert counted(web)["stored"] == 1


async def test_a_key_whose_answer_can_not_be_stored_is_renewed_no_more() -> None:
    handler, store = Handler(), AwaitedKeyStore()
    store.goes_on.set()
    web = IdempotencyMiddleware(handler, store, lease="1s")
    store.fails = StoreNotReady("no column")
    with pytest.raises(StoreNotReady):
        await ask(web, "k")
    store.fails = None
    handler.gate = asyncio.Event()
    runs = asyncio.create_task(ask(web, "other"))
    # What ran before may have been renewed until it had failed: it is the next turn that tells.
    for _ in range(2):
        store.renewed.clear()
        await asyncio.to_thread(
            wait_until, lambda: "other" in store.renewed, "the thread came round", limit_s=60
        )
    handler.gate.set()
    await runs

    assert store.renewed == {"other"}
    web.close()


@pytest.mark.parametrize("more", [False, True])
async def test_a_rule_that_raises_frees_the_key(store: MemoryKeyStore, *, more: bool) -> None:
    def stores(_status: int) -> bool:
        raise LookupError

    parts = ({**BODY, "body": b"1", "more_body": more}, BODY)[: 1 + more]
    handler = Handler(201, *parts, headers=[])
    web = IdempotencyMiddleware(handler, store, stores=stores)

    for _ in range(2):
        with pytest.raises(LookupError):
            await ask(web, "k")

    assert len(handler.runs) == 2


async def test_a_run_that_never_answers_frees_the_key(store: MemoryKeyStore) -> None:
    runs = []

    async def silent(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        del receive
        runs.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    web = IdempotencyMiddleware(silent, store)

    answers = [await ask(web, "k") for _ in range(2)]

    assert len(runs) == 2
    assert [answer.status for answer in answers] == [200, 200], "the server sees what it would see"


async def test_an_answer_without_length_in_parts_is_streamed_and_not_repeated(
    store: MemoryKeyStore,
) -> None:
    parts: list[dict[str, Any]] = [
        {**BODY, "body": b"a", "more_body": True},
        {**BODY, "body": b"b"},
    ]
    handler = Handler(200, *parts, headers=[(b"x-a", b"1")])
    web = IdempotencyMiddleware(handler, store)

    first, second = [await ask(web, "k") for _ in range(2)]

    assert first.header("idempotency-not-stored") == "streamed"
    assert [message.get("body") for message in first.messages[1:]] == [b"a", b"b"]
    assert problem(second) == (409, "idempotency-answer-not-kept")
    assert json.loads(second.body)["original_status"] == 200
    assert len(handler.runs) == 1


async def test_events_are_streamed_from_the_first(store: MemoryKeyStore) -> None:
    handler = Handler(
        200,
        {**BODY, "body": b"data: 1\n\n"},
        headers=[(b"Content-Type", b"text/event-stream"), (b"content-length", b"9")],
    )
    web = IdempotencyMiddleware(handler, store)

    assert (await ask(web, "k")).header("idempotency-not-stored") == "streamed"
    assert problem(await ask(web, "k"))[0] == 409


async def test_a_stream_that_breaks_frees_the_key(store: MemoryKeyStore) -> None:
    handler = Handler(200, {**BODY, "body": b"a", "more_body": True}, headers=[])
    handler.fails = ValueError("broken")
    web = IdempotencyMiddleware(handler, store)

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await ask(web, "k")

    assert len(handler.runs) == 2


@pytest.mark.parametrize("headers", [
    [(b"content-length", b"11")], [], [(b"content-length", b"11"), (b"x", b"y" * 20)],
])  # fmt: skip
async def test_an_answer_that_is_too_large_is_not_kept_and_not_made_again(
    store: MemoryKeyStore, headers: list[tuple[bytes, bytes]]
) -> None:
    handler = Handler(200, {**BODY, "body": b"x" * 11}, headers=headers)
    web = IdempotencyMiddleware(handler, store, answer_max=10)

    first, second = [await ask(web, "k") for _ in range(2)]

    assert (first.body, first.header("idempotency-not-stored")) == (b"x" * 11, "too-large")
    assert not first.messages[-1].get("more_body")
    assert problem(second) == (409, "idempotency-answer-not-kept")
    assert len(handler.runs) == 1


async def test_a_file_sent_by_its_path_is_not_kept(store: MemoryKeyStore) -> None:
    handler = Handler(
        200, {"type": "http.response.pathsend", "path": "/f"}, {**BODY, "body": b""}, headers=[]
    )
    web = IdempotencyMiddleware(handler, store)

    first = await ask(web, "k")

    assert [message["type"] for message in first.messages] == [
        "http.response.start", "http.response.pathsend", "http.response.body",
    ]  # fmt: skip
    assert problem(await ask(web, "k"))[0] == 409


async def test_a_client_that_left_gets_its_answer_with_the_repeat(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    scope = scope_of(headers=((b"idempotency-key", b"k"),))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def gone(message: Any) -> None:  # noqa: ANN401 - ASGI
        raise OSError(message["type"])

    with pytest.raises(OSError, match="start"):
        await web(scope, receive, gone)

    assert (await ask(web, "k")).body == b"1"
    assert len(handler.runs) == 1
