"""Idempotency keys in front of any WSGI application: Flask, Django, or neither of them."""

from __future__ import annotations

import io
from contextvars import copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.composing import REQUEST
from jobstream.enqueue.request_ids import RequestIds
from jobstream.idempotency import key_problems as problems
from jobstream.idempotency.content_length import length_in
from jobstream.idempotency.errors import StoreAway
from jobstream.idempotency.key_problems import KeyProblem
from jobstream.idempotency.key_states import Answered, Mine
from jobstream.idempotency.keyed_requests import NOT_STORED, REPLAYED, RUN, KeyedRequests
from jobstream.idempotency.request_digest import request_digest
from jobstream.idempotency.stored_answer import BODYLESS
from jobstream.idempotency.wsgi_answer import WsgiAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextvars import Context
    from typing import Unpack

    from prometheus_client.registry import Collector

    from jobstream.idempotency.key_states import KeySlot
    from jobstream.idempotency.key_store_port import KeyStore
    from jobstream.idempotency.middleware_options import KeyOptions
    from jobstream.idempotency.stored_answer import StoredAnswer

    Environ = dict[str, Any]
    StartResponse = Callable[..., Any]
    WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

READ_BYTES = 64 * 1024


class WsgiIdempotency:
    """Runs a request with an `Idempotency-Key` once, and gives its repeats the same answer.

    `app.wsgi_app = WsgiIdempotency(app.wsgi_app, store)` in Flask, and `application =
    WsgiIdempotency(get_wsgi_application(), store)` in Django. The options are those of
    `jobstream.web.IdempotencyMiddleware`; `caller` is given the environ. Raises ConfigError for one
    that is wrong. The store is called on the request's own thread, and blocks it. `close` ends the
    thread that renews leases.
    """

    def __init__(self, app: WsgiApp, store: KeyStore, **options: Unpack[KeyOptions]) -> None:
        self._app = app
        self._requests = KeyedRequests(store, options)
        self._header = "HTTP_" + self._requests.rules.header.upper().replace("-", "_")

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application. Raises what the one within raises."""
        rules, method = self._requests.rules, environ["REQUEST_METHOD"]
        path = _text(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
        if not rules.concerns(method, path):
            return self._app(environ, start_response)
        value = environ.get(self._header)
        values = [] if value is None else [value.encode("latin-1")]
        key = self._requests.asked(method, path, values)
        if key is None:
            return self._app(environ, start_response)
        if isinstance(key, KeyProblem):
            return _refuse(start_response, key)
        return self._keyed(key, environ, start_response)

    def metrics(self) -> Collector:
        """The counts of this middleware in this process, for the registry of the service."""
        return self._requests.metrics()

    def close(self) -> None:
        """End its thread; for a process that goes on without it. Does not block."""
        self._requests.close()

    def _keyed(self, key: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        rules = self._requests.rules
        body = _whole_body(environ, rules.body_max)
        if isinstance(body, KeyProblem):
            self._requests.counts.add("refused")
            return _refuse(start_response, body)
        slot = self._slot(environ, key)
        again = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        again.pop("HTTP_TRANSFER_ENCODING", None)
        try:
            begun = self._requests.begin(slot, _digest(environ, body))
        except StoreAway as error:
            self._requests.store_down(error, "begin")
            if rules.passes_when_down:
                return self._unguarded(slot, again, start_response)
            return _refuse(start_response, problems.store_away())
        refusal = self._requests.refusal(begun)
        if refusal is not None:
            return _refuse(start_response, refusal)
        if isinstance(begun, Answered):
            return _replay(start_response, begun.answer)
        assert isinstance(begun, Mine), begun  # noqa: S101 - all others are dealt with
        return self._run(begun, again, start_response)

    def _slot(self, environ: Environ, key: str) -> KeySlot:
        found = environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_COOKIE")
        authorization, cookie = (each if each is None else each.encode("latin-1") for each in found)
        return self._requests.slot(environ, key, authorization, cookie)

    def _run(self, mine: Mine, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answer = WsgiAnswer(self._requests, mine, start_response)
        run = _Run(self._ids(mine.slot), answer.give_up)
        try:
            parts = run.parts(self._app, {**environ, RUN: mine}, answer.start)
            return run.sent(answer.body(run.each(parts)))
        except BaseException:
            run.close()
            raise

    def _unguarded(
        self, slot: KeySlot, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        def marked(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:  # noqa: ANN401 - of WSGI
            return start_response(status, [*headers, (NOT_STORED, "store-down")], *more)

        run = _Run(self._ids(slot), lambda: None)
        try:
            told = {**environ, RUN: Mine.unguarded(slot)}
            return run.sent(run.each(run.parts(self._app, told, marked)))
        except BaseException:
            run.close()
            raise

    def _ids(self, slot: KeySlot) -> RequestIds | None:
        return RequestIds(slot.caller, slot.key) if self._requests.rules.job_ids else None


class _Run:
    """One run of the application: each step of it happens in one context, with the request's ids.

    A server may take the steps of a stream on other threads, and between those of other requests.
    """

    def __init__(self, ids: RequestIds | None, give_up: Callable[[], None]) -> None:
        self._context: Context = copy_context()
        self._ids = ids
        self._give_up = give_up
        self._parts: Iterable[bytes] = ()
        self._sent: Iterator[bytes] = iter(())
        self._is_closed = False
        # It is never reset: the context is this run's own, and some callers never close an answer.
        self._context.run(REQUEST.set, ids)

    def parts(
        self, app: WsgiApp, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Call the application."""
        self._parts = self._context.run(app, environ, start_response)
        return self._parts

    def each(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """What it yields."""
        iterator = self._context.run(iter, parts)
        while True:
            chunk = self._context.run(next, iterator, None)
            if chunk is None:
                return
            yield chunk

    def sent(self, parts: Iterable[bytes]) -> _Run:
        """Return itself, as the iterable that the server takes."""
        self._sent = iter(parts)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._sent)

    def close(self) -> None:
        """As the server calls it at the end, or where the client left."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._give_up()
        finally:
            try:
                if (close := getattr(self._parts, "close", None)) is not None:
                    self._context.run(close)
            finally:
                if self._ids is not None:
                    self._ids.end()


def _text(path: str) -> str:
    """The path as it reads: WSGI gives bytes as if they were Latin-1."""
    return path.encode("latin-1").decode("utf-8", "replace")


def _digest(environ: Environ, body: bytes) -> str:
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    query = environ.get("QUERY_STRING", "").encode("latin-1")
    return request_digest(environ["REQUEST_METHOD"], path, query, body)


def _whole_body(environ: Environ, body_max: int) -> bytes | KeyProblem:
    """The body, or a problem if it is too large or cut off."""
    length = length_in(environ.get("CONTENT_LENGTH") or "")
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""  # Only a server that says so ends a body without a length.
    if length is not None and length > body_max:
        return problems.too_large(body_max)
    left = body_max + 1 if length is None else length
    chunks: list[bytes] = []
    while left > 0:
        try:
            chunk = environ["wsgi.input"].read(min(READ_BYTES, left))
        except OSError:  # The client left; what came is not the whole.
            return problems.cut_off(length, sum(map(len, chunks)))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    body = b"".join(chunks)
    if len(body) > body_max:
        return problems.too_large(body_max)
    if length is not None and len(body) < length:
        return problems.cut_off(length, len(body))
    return body


def _refuse(start_response: StartResponse, problem: KeyProblem) -> list[bytes]:
    start_response(f"{problem.status} {problem.reason}", list(problem.headers))
    return [problem.body]


def _replay(start_response: StartResponse, answer: StoredAnswer) -> list[bytes]:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
    headers.append((REPLAYED, "true"))
    if answer.status not in BODYLESS:
        headers.append(("Content-Length", str(len(answer.body))))
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Unknown"
    start_response(f"{answer.status} {reason}", headers)
    return [answer.body]
