"""Idempotency keys in front of any ASGI application: Starlette, FastAPI, Django, or none of them.

It needs none of these. Other methods, requests without a key, WebSockets and the lifespan pass as
they are.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.request_ids import RequestIds
from jobstream.idempotency import key_problems as problems
from jobstream.idempotency.asgi_answer import BODY, START, AsgiAnswer
from jobstream.idempotency.content_length import length_in
from jobstream.idempotency.errors import StoreAway
from jobstream.idempotency.key_problems import KeyProblem
from jobstream.idempotency.key_states import Answered, Mine
from jobstream.idempotency.keyed_requests import NOT_STORED, REPLAYED, RUN, KeyedRequests
from jobstream.idempotency.loop_calls import LoopCalls
from jobstream.idempotency.request_digest import request_digest
from jobstream.idempotency.stored_answer import BODYLESS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping
    from typing import Unpack

    from prometheus_client.registry import Collector

    from jobstream.idempotency.key_states import KeySlot
    from jobstream.idempotency.key_store_port import KeyStore
    from jobstream.idempotency.middleware_options import KeyOptions
    from jobstream.idempotency.stored_answer import StoredAnswer

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class IdempotencyMiddleware:
    """Runs a request with an `Idempotency-Key` once, and gives its repeats the same answer.

    `IdempotencyMiddleware(app, store)`, or `app.add_middleware(IdempotencyMiddleware, store=store)`
    of Starlette and FastAPI. The options are those of the reference page. Raises ConfigError for
    one that is wrong. A store that blocks is called on threads of its own, for `store_limit` at
    most; the request's body and its answer are held in memory, within `body_max` and `answer_max`.

    An answer proves that its request was carried out at least once, and by one process at a time;
    not that a process which died before had no effect.
    """

    def __init__(self, app: AsgiApp, store: KeyStore, **options: Unpack[KeyOptions]) -> None:
        self._app = app
        self._requests = KeyedRequests(store, options)
        self._calls = LoopCalls(self._requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application. Raises what the one within raises."""
        rules = self._requests.rules
        if scope["type"] != "http" or not rules.concerns(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        values = _values(scope, rules.header.lower().encode())
        key = self._requests.asked(scope["method"], scope["path"], values)
        if key is None:
            await self._app(scope, receive, send)
        elif isinstance(key, KeyProblem):
            await _refuse(send, key)
        else:
            await self._keyed(key, scope, receive, send)

    def metrics(self) -> Collector:
        """The counts of this middleware in this process, for the registry of the service."""
        return self._requests.metrics()

    def close(self) -> None:
        """End its threads; for a process that goes on without it. Does not block."""
        self._requests.close()
        self._calls.close()

    async def _keyed(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        rules = self._requests.rules
        body = await _whole_body(scope, receive, rules.body_max)
        if body is None:
            return  # The client left before its request was whole.
        if isinstance(body, KeyProblem):
            self._requests.counts.add("refused")
            await _refuse(send, body)
            return
        slot = self._slot(scope, key)
        again = _replayed(body, receive)
        try:
            begun = await self._calls.begin(slot, _digest(scope, body))
        except StoreAway as error:
            self._requests.store_down(error, "begin")
            if rules.passes_when_down:
                await self._unguarded(slot, scope, again, send)
            else:
                await _refuse(send, problems.store_away())
            return
        refusal = self._requests.refusal(begun)
        if isinstance(begun, Mine):
            await self._run(begun, scope, again, send)
        elif isinstance(begun, Answered):
            await _replay(send, begun.answer)
        elif refusal is not None:
            await _refuse(send, refusal)

    def _slot(self, scope: Scope, key: str) -> KeySlot:
        # A client of HTTP/2 may send each cookie by itself.
        found = _values(scope, b"authorization"), _values(scope, b"cookie")
        authorization, cookie = (b"; ".join(each) if each else None for each in found)
        return self._requests.slot(scope, key, authorization, cookie)

    async def _run(self, mine: Mine, scope: Scope, receive: Receive, send: Send) -> None:
        answer = AsgiAnswer(send, self._requests.rules, self._calls, mine)
        try:
            with self._job_ids(mine.slot):
                await self._app({**scope, RUN: mine}, receive, answer.send)
        except asyncio.CancelledError:
            if not answer.is_over:
                self._calls.release_unwaited(mine)
            raise
        except BaseException:
            if not answer.is_over:
                await self._calls.release(mine)
            raise
        if not answer.is_over:
            await self._calls.release(mine)
            await answer.flush()

    async def _unguarded(self, slot: KeySlot, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == START:
                header = (NOT_STORED.lower().encode(), b"store-down")
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        with self._job_ids(slot):
            await self._app({**scope, RUN: Mine.unguarded(slot)}, receive, marked)

    @contextmanager
    def _job_ids(self, slot: KeySlot) -> Iterator[None]:
        if not self._requests.rules.job_ids:
            yield
            return
        with RequestIds(slot.caller, slot.key).in_force():
            yield


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [bytes(value) for found, value in scope["headers"] if bytes(found).lower() == name]


def _digest(scope: Scope, body: bytes) -> str:
    path = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    return request_digest(scope["method"], path, scope.get("query_string", b""), body)


async def _whole_body(scope: Scope, receive: Receive, body_max: int) -> bytes | KeyProblem | None:
    """The body; None if the client left; a problem if it is too large, which is read no further."""
    told = (length_in(value.decode("latin-1")) for value in _values(scope, b"content-length"))
    if any(length is not None and length > body_max for length in told):
        return problems.too_large(body_max)
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk = bytes(message.get("body", b""))
        size += len(chunk)
        if size > body_max:
            return problems.too_large(body_max)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, and then what the server says: that the client left."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(send: Send, problem: KeyProblem) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in problem.headers]
    await send({"type": START, "status": problem.status, "headers": headers})
    await send({"type": BODY, "body": problem.body, "more_body": False})


async def _replay(send: Send, answer: StoredAnswer) -> None:
    headers = [*answer.headers, (REPLAYED.lower().encode(), b"true")]
    if answer.status not in BODYLESS:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": START, "status": answer.status, "headers": headers})
    await send({"type": BODY, "body": answer.body, "more_body": False})
