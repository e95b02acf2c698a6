"""Server-sent events of what changes: one response that goes on, to one who reads it.

Who reads too slowly is cut off: each send is waited for only so long, and the buffer is bounded.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from jobstream.web.api_route import ApiRoute, Call
from jobstream.web.callers import TokenRole
from jobstream.web.entry_check import require_queue

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from jobstream.web.change_feed import ChangeEvent, Subscriber

MEDIA_TYPE = "text/event-stream"
BEAT_S = 15.0
SEND_S_MAX = 10.0
"""How long one who reads may take to make room."""
LASTS_S_MAX = 900.0
"""A stream ends by itself after this time; a browser opens it anew, and is let in anew."""


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """Which changes are told."""

    queue: str | None = None
    """Changes of this queue alone."""
    jobs: bool = False
    """Ends of jobs as well."""


async def _events(call: Call) -> Response:
    asked: EventsQuery = call.query
    if asked.queue is not None:
        require_queue(call.caller, asked.queue)

    def wants(change: ChangeEvent) -> bool:
        if change.name == "job" and not asked.jobs:
            return False
        if not change.queue:
            return True
        return asked.queue in {None, change.queue} and call.caller.sees(change.queue)

    subscriber = await call.desk.feed.subscribe(wants, jobs=asked.jobs)
    return EventStream(call, subscriber, jobs=asked.jobs)


class EventStream(Response):
    """Sends what a subscriber gets until it is cut, goes away, or the time is over."""

    def __init__(self, call: Call, subscriber: Subscriber, *, jobs: bool) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._call, self._subscriber, self._jobs = call, subscriber, jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send until the end; unsubscribes in any case."""
        gone = asyncio.create_task(_gone(receive))
        try:
            headers = [*self.raw_headers, (b"content-type", MEDIA_TYPE.encode())]
            headers = [(name, value) for name, value in headers if name != b"content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send_all(send, gone)
        except TimeoutError:
            return  # It reads too slowly: the connection ends without the last chunk.
        finally:
            gone.cancel()
            self._call.desk.feed.unsubscribe(self._subscriber, jobs=self._jobs)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send, gone: asyncio.Task[None]) -> None:
        loop, desk = asyncio.get_running_loop(), self._call.desk
        until_s = loop.time() + LASTS_S_MAX
        await _sent(send, b"retry: 2000\n\n")
        while loop.time() < until_s and not gone.done() and not desk.closing.is_set():
            found = await self._subscriber.take(BEAT_S)
            if self._subscriber.is_cut:
                await _sent(send, _event("cut", {"why": "changes came faster than they were read"}))
                return
            for change in found:
                await _sent(send, _event(change.name, change.document))
            if not found:
                await _sent(send, b": still here\n\n")


async def _sent(send: Send, body: bytes) -> None:
    message = {"type": "http.response.body", "body": body, "more_body": True}
    await asyncio.wait_for(send(message), SEND_S_MAX)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(name: str, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    return f"event: {name}\ndata: {json.dumps(document)}\n\n".encode()


EVENTS = (
    ApiRoute("GET", "/events", TokenRole.READ,
             "Server-sent events: `queue` for each queue that changes, `source` when the source "
             "goes away or comes back, `job` for each end of a job.", _events, query=EventsQuery,
             media_type=MEDIA_TYPE, goes_on=True),
)  # fmt: skip
"""The call that goes on."""
