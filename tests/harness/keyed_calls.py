"""Calls an ASGI or a WSGI application as a server does, without one: each message is seen."""

from __future__ import annotations

import asyncio
import io
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobstream.idempotency import MemoryKeyStore, StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobstream.idempotency.key_states import KeyTerms, Mine

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass
class Answered:
    """What a client got."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages if m["type"].endswith("body"))

    def header(self, name: str) -> str | None:
        found = [
            value.decode("latin-1")
            for each, value in self.messages[0]["headers"]
            if each.decode("latin-1").lower() == name.lower()
        ]
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else None


def scope_of(
    path: str = "/orders", method: str = "POST", query: bytes = b"", headers: Pairs = ()
) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": list(headers),
    }


async def ask(
    app: Any,  # noqa: ANN401 - an ASGI application
    key: str | None = None,
    body: bytes = b"{}",
    *,
    headers: Pairs = (),
    chunks: Iterable[bytes] | None = None,
    leaves_early: bool = False,
    **more: Any,  # noqa: ANN401 - of the scope
) -> Answered:
    """One request; the client goes away after the answer, or `leaves_early` within its body."""
    parts = list(chunks) if chunks is not None else [body]
    messages = [
        {"type": "http.request", "body": part, "more_body": n + 1 < len(parts)}
        for n, part in enumerate(parts)
    ]
    if leaves_early:
        messages = [{**messages[0], "more_body": True}, {"type": "http.disconnect"}]
    given = iter(messages)
    answer = Answered()
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if (message := next(given, None)) is not None:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        answer.messages.append(message)

    own: Pairs = () if key is None else ((b"idempotency-key", key.encode("latin-1")),)
    await app(scope_of(headers=(*own, *headers), **more), receive, send)
    return answer


def ask_wsgi(
    app: Any,  # noqa: ANN401 - a WSGI application
    key: str | None = None,
    body: bytes = b"{}",
    *,
    take: Callable[[Iterable[bytes]], list[bytes]] = list,
    **environ: Any,  # noqa: ANN401 - of WSGI
) -> Answered:
    """One request; `take` says how much of the answer the server gets rid of."""
    told: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/orders",
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **({} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}),
        **environ,
    }
    answer = Answered()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:  # noqa: ANN401 - of WSGI
        del exc_info
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        start = {"type": "http.response.start", "status": int(status[:3]), "headers": pairs}
        answer.messages.insert(0, start)

    parts = app(told, start_response)
    try:
        taken = take(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    answer.messages += [{"type": "http.response.body", "body": part} for part in taken]
    return answer


class FailingKeyStore(MemoryKeyStore):
    """A store in memory of which the named calls fail, as where a database does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: set[str] = set()
        self.fails_after_begin: set[str] = set()

    def begin(self, *given: Any) -> Any:  # noqa: ANN401 - as the store's
        self._check("begin")
        found = super().begin(*given)
        self.fails |= self.fails_after_begin
        return found

    def keep(self, *given: Any) -> bool:  # noqa: ANN401 - as the store's
        self._check("keep")
        return super().keep(*given)

    def release(self, *given: Any) -> bool:  # noqa: ANN401 - as the store's
        self._check("release")
        return super().release(*given)

    def _check(self, call: str) -> None:
        if call in self.fails:
            message = f"{call}: connection refused"
            raise StoreAway(message)


class HangingKeyStore(MemoryKeyStore):
    """A store that blocks, and does nothing before it may go on."""

    blocks = True

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.threads: set[int] = set()

    def begin(self, *given: Any) -> Any:  # noqa: ANN401 - as the store's
        self.threads.add(threading.get_ident())
        assert self.goes_on.wait(60), "a test lets it go on"
        return super().begin(*given)


class AwaitedKeyStore(MemoryKeyStore):
    """A store that is awaited, and does nothing before it may go on."""

    awaits = True

    def __init__(self) -> None:
        super().__init__()
        self.began, self.goes_on = asyncio.Event(), asyncio.Event()
        self.is_stubborn = False
        """It goes on when it is cancelled: a driver may ask the server first to give up."""
        self.fails: Exception | None = None
        self.renewed: set[str] = set()

    async def abegin(self, *given: Any) -> Any:  # noqa: ANN401 - as the store's
        await self._gone_on()
        return self.begin(*given)

    async def akeep(self, *given: Any) -> bool:  # noqa: ANN401 - as the store's
        await self._gone_on()
        if self.fails is not None:
            raise self.fails
        return self.keep(*given)

    def renew(self, mine: Mine, terms: KeyTerms) -> bool:
        self.renewed.add(mine.slot.key)
        return super().renew(mine, terms)

    async def _gone_on(self) -> None:
        self.began.set()
        while not self.goes_on.is_set():
            with suppress(*([asyncio.CancelledError] if self.is_stubborn else [])):
                await self.goes_on.wait()
