"""The WSGI middleware, as a server calls it, on a store in memory."""

from __future__ import annotations

import io
import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.harness.keyed_calls import FailingKeyStore, ask_wsgi

from jobstream.idempotency import MemoryKeyStore, WsgiIdempotency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.harness.keyed_calls import Answered


class Parts:
    """An iterable that is no list, and is closed, as frameworks give one."""

    def __init__(self, handler: Handler, *chunks: bytes) -> None:
        self._handler, self._chunks = handler, chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._handler.fails_at_the_end:
            message = "broken"
            raise ValueError(message)

    def close(self) -> None:
        self._handler.closed += 1


class Handler:
    """A WSGI application that counts its runs and answers as told."""

    def __init__(
        self,
        status: str = "201 Created",
        *chunks: bytes,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        self.runs: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.status, self.chunks, self.headers = status, chunks, headers or []
        self.closed = 0
        self.fails = self.fails_at_the_end = False

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        self.runs.append(environ)
        self.bodies.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)))
        if self.fails:
            message = "broken"
            raise ValueError(message)
        start_response(self.status, self.headers)
        return Parts(self, *(self.chunks or (str(len(self.runs)).encode(),)))


@pytest.fixture
def store() -> MemoryKeyStore:
    return MemoryKeyStore()


def problem(answer: Answered) -> tuple[int, str]:
    document = json.loads(answer.body)
    assert answer.header("content-type") == "application/problem+json"
    assert document["status"] == answer.status
    return answer.status, document["type"].rpartition(":")[2]


def test_a_repeat_gets_the_same_answer_and_runs_nothing(store: MemoryKeyStore) -> None:
    handler = Handler(headers=[("Location", "/orders/1"), ("Set-Cookie", "s=1")])
    web = WsgiIdempotency(handler, store)

    first, second = (ask_wsgi(web, "k", b'{"n":1}') for _ in range(2))

    assert (first.status, first.body, first.header("set-cookie")) == (201, b"1", "s=1")
    assert (second.status, second.body) == (201, b"1")
    assert second.header("idempotency-replayed") == "true"
    assert (second.header("location"), second.header("set-cookie")) == ("/orders/1", None)
    assert handler.bodies == [b'{"n":1}']
    assert handler.closed == 1


@pytest.mark.parametrize(("value", "expected"), [
    ("a,b", 400), ("", 400), ("x" * 256, 400), ("caf\xe9", 400), ('"a","b"', 400), ('"a,b"', 201),
])  # fmt: skip
def test_keys_are_checked(store: MemoryKeyStore, value: str, expected: int) -> None:
    """A server that gets the header twice joins the values with a comma."""
    assert ask_wsgi(WsgiIdempotency(Handler(), store), value).status == expected


def test_another_request_a_missing_key_and_another_caller(store: MemoryKeyStore) -> None:
    web = WsgiIdempotency(Handler(), store, required=True)
    ask_wsgi(web, "k")

    assert problem(ask_wsgi(web, "k", b"other")) == (422, "idempotency-key-reused")
    assert problem(ask_wsgi(web)) == (400, "idempotency-key-missing")
    assert ask_wsgi(web, "k", HTTP_AUTHORIZATION="Bearer a").body == b"2"
    assert ask_wsgi(web, "k", HTTP_COOKIE="s=a").body == b"3"
    assert ask_wsgi(web, REQUEST_METHOD="GET").body == b"4"


def test_failures_and_exceptions_free_the_key(store: MemoryKeyStore) -> None:
    handler = Handler("503 Service Unavailable")
    web = WsgiIdempotency(handler, store)
    assert [ask_wsgi(web, "k").body for _ in range(2)] == [b"1", b"2"]
    handler.fails = True
    with pytest.raises(ValueError, match="broken"):
        ask_wsgi(web, "k")
    handler.fails, handler.fails_at_the_end = False, True
    with pytest.raises(ValueError, match="broken"):
        ask_wsgi(web, "k")
    handler.fails_at_the_end = False

    assert ask_wsgi(web, "k").body == b"5"
    assert handler.closed == 4, "each answer that began is closed"


@pytest.mark.parametrize("parts", [(b"a",), (b"a", b"b")])
def test_a_rule_that_raises_frees_the_key(store: MemoryKeyStore, parts: tuple[bytes, ...]) -> None:
    def stores(_status: int) -> bool:
        raise LookupError

    handler = Handler("200 OK", *parts)
    web = WsgiIdempotency(handler, store, stores=stores)

    for _ in range(2):
        with pytest.raises(LookupError):
            ask_wsgi(web, "k")

    assert len(handler.runs) == 2


def test_while_it_runs_others_are_told_to_come_back(store: MemoryKeyStore) -> None:
    others: list[Answered] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        del environ
        others.append(ask_wsgi(web, "k"))
        start_response("200 OK", [])
        return [b"done"]

    web = WsgiIdempotency(application, store)

    assert ask_wsgi(web, "k").status == 200
    assert [problem(other) for other in others] == [(409, "idempotency-key-in-use")]


def test_a_stream_is_let_by_and_not_made_again(store: MemoryKeyStore) -> None:
    handler = Handler("200 OK", b"a", b"b", b"c")
    web = WsgiIdempotency(handler, store)

    first, second = (ask_wsgi(web, "k") for _ in range(2))

    assert [message["body"] for message in first.messages[1:]] == [b"a", b"b", b"c"]
    assert first.header("idempotency-not-stored") == "streamed"
    assert problem(second) == (409, "idempotency-answer-not-kept")
    assert (len(handler.runs), handler.closed) == (1, 1)


def test_events_are_sent_from_the_first(store: MemoryKeyStore) -> None:
    taken: list[list[bytes]] = []
    handler = Handler("200 OK", b"a", headers=[("Content-Type", "text/event-stream")])

    def one(parts: Iterable[bytes]) -> list[bytes]:
        taken.append([*islice(parts, 1)])
        return taken[-1]

    answer = ask_wsgi(WsgiIdempotency(handler, store), "k", take=one)

    assert answer.header("idempotency-not-stored") == "streamed"
    assert taken == [[b"a"]]


def test_a_client_that_leaves_within_a_stream_frees_the_key(store: MemoryKeyStore) -> None:
    handler = Handler("200 OK", b"a", b"b", b"c")
    web = WsgiIdempotency(handler, store)

    ask_wsgi(web, "k", take=lambda parts: [*islice(parts, 1)])
    ask_wsgi(web, "k")

    assert (len(handler.runs), handler.closed) == (2, 2)


def test_parts_of_a_known_length_are_kept(store: MemoryKeyStore) -> None:
    web = WsgiIdempotency(Handler("200 OK", b"a", b"b", headers=[("Content-Length", "2")]), store)

    first, second = (ask_wsgi(web, "k") for _ in range(2))

    assert (first.body, second.body) == (b"ab", b"ab")
    assert second.header("idempotency-replayed") == "true"


def test_a_large_answer_is_let_by(store: MemoryKeyStore) -> None:
    handler = Handler("200 OK", b"x" * 6, b"x" * 5, headers=[("Content-Length", "11")])
    web = WsgiIdempotency(handler, store, answer_max=10)

    assert ask_wsgi(web, "k").header("idempotency-not-stored") == "too-large"
    assert problem(ask_wsgi(web, "k"))[1] == "idempotency-answer-not-kept"


def test_bodies_are_bounded_and_must_be_whole(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = WsgiIdempotency(handler, store, body_max=10)
    chunked: dict[str, Any] = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}

    assert problem(ask_wsgi(web, "k", b"x" * 11)) == (413, "content-too-large")
    assert problem(ask_wsgi(web, "k", b"x" * 11, **chunked)) == (413, "content-too-large")
    too_long = ask_wsgi(web, "k", CONTENT_LENGTH="9" * 5_000)
    assert problem(too_long) == (413, "content-too-large")
    assert problem(ask_wsgi(web, "k", b"x", CONTENT_LENGTH="2")) == (400, "body-cut-off")
    assert handler.runs == []
    assert ask_wsgi(web, "k", b"x" * 10, **chunked).status == 201
    assert ask_wsgi(web, "k", b"x" * 10).header("idempotency-replayed") == "true"
    assert handler.bodies == [b"x" * 10]


@pytest.mark.parametrize("length", ["", "9"])
def test_a_body_that_breaks_off_is_not_the_whole(store: MemoryKeyStore, length: str) -> None:
    """Chunks have no length in advance: that the client left is all that tells."""

    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            if not parts:
                raise ConnectionResetError(size)
            return parts.pop()

    parts = [b"half"]
    handler = Handler()
    environ: dict[str, Any] = {"wsgi.input": Broken(), "wsgi.input_terminated": True}

    answer = ask_wsgi(WsgiIdempotency(handler, store), "k", CONTENT_LENGTH=length, **environ)

    assert problem(answer) == (400, "body-cut-off")
    assert handler.runs == []


@pytest.mark.parametrize("told", ["\xb2", "+2", "-1", "2, 2"])
def test_a_length_that_is_no_number_is_none(store: MemoryKeyStore, told: str) -> None:
    handler = Handler()

    ask_wsgi(WsgiIdempotency(handler, store), "k", CONTENT_LENGTH=told)

    assert handler.bodies == [b""]


def test_a_server_that_ends_no_body_by_itself_is_not_read_from(store: MemoryKeyStore) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise AssertionError(size)

    web = WsgiIdempotency(Handler(), store)

    assert (
        ask_wsgi(
            web, "k", CONTENT_LENGTH="", **cast("dict[str, Any]", {"wsgi.input": Endless()})
        ).status
        == 201
    )


def test_what_is_written_the_old_way_is_a_part_of_the_answer(store: MemoryKeyStore) -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        del environ
        write = start_response("200 OK", [("Content-Length", "2")])
        write(b"a")
        return [b"b"]

    web = WsgiIdempotency(application, store)

    assert [ask_wsgi(web, "k").body for _ in range(2)] == [b"ab", b"ab"]


def test_an_error_that_replaces_the_answer_is_the_answer(store: MemoryKeyStore) -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        del environ
        start_response("200 OK", [])
        start_response("500 Broken", [], (ValueError, ValueError("x"), None))
        return [b"sorry"]

    assert ask_wsgi(WsgiIdempotency(application, store), "k").status == 500


def test_an_error_after_the_first_part_reaches_the_server(store: MemoryKeyStore) -> None:
    runs: list[int] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        del environ
        runs.append(1)
        start_response("200 OK", [])
        yield from (b"a", b"b")
        try:
            raise ValueError("broken")  # noqa: EM101, TRY301 - as a framework meets one
        except ValueError:
            start_response("500 Broken", [], sys.exc_info())
        yield b"sorry"

    def server(_status: str, _headers: list[tuple[str, str]], exc_info: Any = None) -> None:  # noqa: ANN401 - of WSGI
        if exc_info is not None:
            raise exc_info[1]

    web = WsgiIdempotency(application, store)
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/orders", "HTTP_IDEMPOTENCY_KEY": "k"}
    for _ in range(2):
        answer = web(environ, server)
        with pytest.raises(ValueError, match="broken"):
            list(answer)
        cast("Any", answer).close()

    assert len(runs) == 2, "an answer that broke off is no answer"


def test_an_error_before_anything_was_sent_of_a_stream_is_the_answer(store: MemoryKeyStore) -> None:
    runs: list[int] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        del environ
        runs.append(1)
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b""
        start_response("500 Broken", [], (ValueError, ValueError("x"), None))
        yield b"sorry"

    web = WsgiIdempotency(application, store)

    assert [ask_wsgi(web, "k").status for _ in range(2)] == [500, 500]
    assert len(runs) == 2


def test_a_store_that_is_away_refuses_or_lets_through() -> None:
    handler, store = Handler(), FailingKeyStore()
    store.fails = {"begin"}

    assert problem(ask_wsgi(WsgiIdempotency(handler, store), "k"))[0] == 503
    passing = WsgiIdempotency(handler, store, on_store_down="pass")
    assert ask_wsgi(passing, "k").header("idempotency-not-stored") == "store-down"
    run = handler.runs[0]["jobstream.idempotency"]
    assert (run.slot.key, run.attempt) == ("k", 0), "as where it is there"
    assert len(handler.runs) == 1
