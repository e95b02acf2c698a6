"""The answer of a WSGI application on its way to the client: held until it is stored, or let by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.idempotency.content_length import length_in
from jobstream.idempotency.key_states import STREAMED, TOO_LARGE, Unkept
from jobstream.idempotency.keyed_requests import NOT_STORED
from jobstream.idempotency.stored_answer import BODYLESS, StoredAnswer, repeatable, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jobstream.idempotency.key_states import Mine
    from jobstream.idempotency.keyed_requests import KeyedRequests

    Headers = list[tuple[str, str]]
    StartResponse = Callable[..., Any]


class WsgiAnswer:
    """One answer. Used by the thread of its request."""

    def __init__(self, requests: KeyedRequests, mine: Mine, start_response: StartResponse) -> None:
        self._requests, self._mine, self._start_response = requests, mine, start_response
        self._status = ""
        self._headers: Headers = []
        self._exc_info: Any = None
        self._written: list[bytes] = []
        self._has_begun = False
        """Whether the server has the status and the headers."""
        self._is_over = False

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:  # noqa: ANN401 - of WSGI
        """What the application calls as `start_response`; nothing is sent yet."""
        self._status, self._headers, self._exc_info = status, list(headers), exc_info
        if self._has_begun:
            # An error in a stream: the server raises it, unless it has sent nothing so far.
            self._begin(self._headers)
        return self._written.append

    def body(self, parts: Iterable[bytes]) -> Iterable[bytes]:
        """What the server is to send; stores the answer first, if it is whole and small enough."""
        iterator = iter(parts)
        chunk = next(iterator, None)  # It may call `start_response` only now.
        if not self._status:
            message = "the application returned without calling start_response"
            raise RuntimeError(message)
        chunks = [*self._written] if chunk is None else [*self._written, chunk]
        if self._is_event_stream():
            return self._let_by(STREAMED, chunks, iterator)
        length, bound = self._length(), self._requests.rules.answer_max
        size = size_of(self._kept_headers()) + sum(map(len, chunks))
        if size + max(0, (length or 0) - sum(map(len, chunks))) > bound:
            return self._let_by(TOO_LARGE, chunks, iterator)
        is_first = True
        for chunk in iterator:
            chunks.append(chunk)
            size += len(chunk)
            if size > bound:
                return self._let_by(TOO_LARGE, chunks, iterator)
            if is_first and length is None:
                return self._let_by(STREAMED, chunks, iterator)
            is_first = False
        return self._whole(b"".join(chunks))

    def give_up(self) -> None:
        """The application raised, or was left before its end: nothing is kept."""
        if not self._is_over:
            self._is_over = True
            self._requests.release(self._mine)

    def _whole(self, body: bytes) -> list[bytes]:
        # Asked first: a rule of the service's may raise, and then nothing is decided.
        is_kept = self._requests.rules.stores(self._code)
        self._is_over = True
        headers = self._headers
        if is_kept:
            answer = StoredAnswer(self._code, self._kept_headers(), body)
            headers = _with_reason(headers, self._requests.keep(self._mine, answer))
        else:
            self._requests.release(self._mine)
        if self._length() is None and self._code not in BODYLESS:
            headers = [*headers, ("Content-Length", str(len(body)))]  # As servers do for one part.
        self._begin(headers)
        return [body]

    def _let_by(self, why: str, held: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
        is_kept = self._requests.rules.stores(self._code)
        self._begin(_with_reason(self._headers, why) if is_kept else self._headers)
        return self._streamed(why, held, rest)

    def _streamed(self, why: str, held: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
        yield from held
        held.clear()
        yield from rest
        # Asked again: an error may have taken the place of an answer of which nothing was sent.
        is_kept = self._requests.rules.stores(self._code)
        self._is_over = True
        if is_kept:
            self._requests.keep(self._mine, Unkept(self._code, why))
        else:
            self._requests.release(self._mine)

    def _begin(self, headers: Headers) -> None:
        self._has_begun = True
        if self._exc_info is None:
            self._start_response(self._status, headers)
        else:
            self._start_response(self._status, headers, self._exc_info)

    @property
    def _code(self) -> int:
        return int(self._status.split(" ", 1)[0])

    def _kept_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        pairs = ((n.encode("latin-1"), v.encode("latin-1")) for n, v in self._headers)
        return repeatable(pairs)

    def _told(self, name: str) -> str:
        return next((value for found, value in self._headers if found.lower() == name), "")

    def _length(self) -> int | None:
        return length_in(self._told("content-length"))

    def _is_event_stream(self) -> bool:
        return self._told("content-type").lower().startswith("text/event-stream")


def _with_reason(headers: Headers, why: str) -> Headers:
    return [*headers, (NOT_STORED, why)] if why else headers
