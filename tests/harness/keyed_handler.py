"""An ASGI application behind idempotency keys, for tests of the middleware, and its answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.keyed_calls import Answered

    from jobstream.web import IdempotencyMiddleware

BODY: dict[str, Any] = {"type": "http.response.body"}


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000.0

    def __call__(self) -> float:
        return self.ms


class Handler:
    """An ASGI application that counts its runs and answers as told."""

    def __init__(
        self,
        status: int = 201,
        *messages: dict[str, Any],
        headers: list[tuple[bytes, bytes]] | None = None,
        fails: BaseException | None = None,
    ) -> None:
        self.runs: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.status, self.messages, self.headers, self.fails = status, messages, headers, fails
        self.gate: asyncio.Event | None = None
        self.began = asyncio.Event()
        self.after: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        self.runs.append(scope)
        self.began.set()
        if scope["type"] != "http":
            return
        self.bodies.append((await receive())["body"])
        if self.gate is not None:
            async with asyncio.timeout(60):
                await self.gate.wait()
        number = str(len(self.runs)).encode()
        headers = [(b"content-length", b"%d" % len(number))]
        start = headers if self.headers is None else self.headers
        await send({"type": "http.response.start", "status": self.status, "headers": start})
        for message in self.messages or ({**BODY, "body": number},):
            await send(dict(message))
        self.after()
        if self.fails is not None:
            raise self.fails


def problem(answer: Answered) -> tuple[int, str]:
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("content-length") == str(len(answer.body))
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    assert document["detail"]
    return answer.status, document["type"].rpartition(":")[2]


def counted(web: IdempotencyMiddleware) -> dict[str, float]:
    (family,) = web.metrics().collect()
    return {each.labels["outcome"]: each.value for each in family.samples}
