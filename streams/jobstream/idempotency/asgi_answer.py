"""The answer of an ASGI application on its way to the client: held until it is stored, or let by.

It is held until its end and sent once it is stored, so that a repeat finds what its client got. One
that is streamed or too large is let by as it comes; of it only the status is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.idempotency.content_length import length_in
from jobstream.idempotency.key_states import STREAMED, TOO_LARGE, Unkept
from jobstream.idempotency.keyed_requests import NOT_STORED
from jobstream.idempotency.stored_answer import StoredAnswer, repeatable, size_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from jobstream.idempotency.key_states import Mine
    from jobstream.idempotency.loop_calls import LoopCalls
    from jobstream.idempotency.middleware_options import RequestRules

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]

START, BODY = "http.response.start", "http.response.body"


class AsgiAnswer:
    """One answer. Used by the task of its request."""

    def __init__(self, send: Send, rules: RequestRules, calls: LoopCalls, mine: Mine) -> None:
        self._send, self._rules, self._calls, self._mine = send, rules, calls, mine
        self._start: Message | None = None
        self._length: int | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_kept = False
        self._let_by = ""
        """Why it is let by; "" while it is held."""
        self.is_over = False
        """Whether it came to its end, so that it is decided what is kept of it."""

    async def send(self, message: Message) -> None:
        """What the application calls to answer."""
        kind = message["type"]
        if kind == START and self._start is None:
            await self._begin(message)
        elif kind == BODY and self._start is not None and not self.is_over:
            await self._body(message)
        elif self._start is None or self.is_over or self._let_by:
            await self._send(message)
        else:
            # An extension such as a file by its path: its bytes do not come by here.
            await self._let_go(STREAMED)
            await self._send(message)

    async def flush(self) -> None:
        """Send what is held of an answer that the application left without an end."""
        if self._start is not None and not self._let_by and not self.is_over:
            await self._let_go(STREAMED)

    async def _begin(self, message: Message) -> None:
        # Asked first: a rule of the service's may raise, and then the run has given no answer.
        self._is_kept = self._rules.stores(int(message["status"]))
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        self._start = {**message, "headers": headers}
        self._size = size_of(repeatable(headers))
        told = {name.lower(): value for name, value in headers}
        self._length = length_in(told.get(b"content-length", b"").decode("latin-1"))
        if told.get(b"content-type", b"").lower().startswith(b"text/event-stream") or message.get(
            "trailers"
        ):
            await self._let_go(STREAMED)
        elif self._size + (self._length or 0) > self._rules.answer_max:
            await self._let_go(TOO_LARGE)

    async def _body(self, message: Message) -> None:
        more = bool(message.get("more_body"))
        if not self._let_by:
            chunk = bytes(message.get("body", b""))
            is_first = not self._chunks
            self._chunks.append(chunk)
            self._size += len(chunk)
            if self._size > self._rules.answer_max:
                await self._let_go(TOO_LARGE, more_body=more)
            elif not more:
                await self._whole()
            elif is_first and self._length is None:
                await self._let_go(STREAMED)
            return
        if not more:
            await self._ended()
        await self._send(message)

    @property
    def _status(self) -> int:
        assert self._start is not None, "it has begun"  # noqa: S101 - an invariant
        return int(self._start["status"])

    async def _whole(self) -> None:
        assert self._start is not None, "it has begun"  # noqa: S101 - an invariant
        body = b"".join(self._chunks)
        start = self._start
        self.is_over = True
        if self._is_kept:
            answer = StoredAnswer(self._status, repeatable(start["headers"]), body)
            start = _with_reason(start, await self._calls.keep(self._mine, answer))
        else:
            await self._calls.release(self._mine)
        await self._send(start)
        await self._send({"type": BODY, "body": body, "more_body": False})

    async def _ended(self) -> None:
        self.is_over = True
        if self._is_kept:
            await self._calls.keep(self._mine, Unkept(self._status, self._let_by))
        else:
            await self._calls.release(self._mine)

    async def _let_go(self, why: str, *, more_body: bool = True) -> None:
        """Send what is held, and from now on each message as it comes."""
        assert self._start is not None, "it has begun"  # noqa: S101 - an invariant
        self._let_by = why
        held, self._chunks = b"".join(self._chunks), []
        start = self._start
        if self._is_kept:
            start = _with_reason(start, why)
        if not more_body:
            await self._ended()
        await self._send(start)
        if held or not more_body:
            await self._send({"type": BODY, "body": held, "more_body": more_body})


def _with_reason(start: Message, why: str) -> Message:
    if not why:
        return start
    header = (NOT_STORED.lower().encode(), why.encode())
    return {**start, "headers": [*start["headers"], header]}
