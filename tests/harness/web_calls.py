"""Calls an application over HTTP in this process: no socket, no broker unless a call needs it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx2

from jobstream import App
from jobstream.answers.app_site import Site
from jobstream.web.application import ROUTES, application
from jobstream.web.desk import Desk
from jobstream.web.tokens import TokenFile
from jobstream.web.web_options import WebOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from pathlib import Path

    from jobstream.web.api_route import ApiRoute, Call

LOCAL = ("127.0.0.1", 5_000)


@dataclass(frozen=True)
class Letter:
    """Args of the one job type."""

    to: str
    copies: int = 1


def shop(**settings: Any) -> App:  # noqa: ANN401 - any setting
    """An app with two queues and two job types."""
    app = App("shop", **settings)
    mail, bulk = app.queue("mail", partitions=2), app.queue("bulk", partitions=2)
    app.declare("send", Letter, queue=mail)
    app.declare("mass", Letter, queue=bulk)
    return app


def without_work(routes: Iterable[ApiRoute] = ROUTES) -> list[ApiRoute]:
    """The routes, each of which answers what it has read instead of doing anything."""

    async def said(call: Call) -> Any:  # noqa: ANN401 - what the request says
        return {"query": call.query, "body": call.body, "who": call.caller.name}

    return [replace(route, run=said) for route in routes]


class WebSide:
    """An application, and how to call it."""

    def __init__(
        self,
        folder: Path,
        app: App | None = None,
        *,
        site: Site | None = None,
        routes: Iterable[ApiRoute] | None = None,
        **options: Any,  # noqa: ANN401 - of WebOptions
    ) -> None:
        given = {"open_to_loopback": True, "rate_per_s": 1e6, "rate_burst": 1e6, **options}
        self.tokens = TokenFile(folder / "tokens.json")
        self.site = site or Site.of(app if app is not None else shop())
        self.desk = Desk(self.site, self.tokens, WebOptions(**given))
        self.asgi = application(self.desk, ROUTES if routes is None else tuple(routes))

    def client(self, peer: tuple[str, int] = LOCAL, **more: Any) -> httpx2.AsyncClient:  # noqa: ANN401
        """A client that calls it from that address."""
        transport = httpx2.ASGITransport(app=self.asgi, client=peer)
        return httpx2.AsyncClient(transport=transport, base_url="http://localhost", **more)

    def ask(self, method: str, path: str, **given: Any) -> httpx2.Response:  # noqa: ANN401 - the client's
        """One request."""

        async def once(client: httpx2.AsyncClient) -> httpx2.Response:
            return await client.request(method, path, **given)

        found: httpx2.Response = self.all(once)
        return found

    def all(self, work: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401
        """What a coroutine returns that calls it many times."""

        async def within() -> Any:  # noqa: ANN401 - as above
            async with self.client() as client:
                return await work(client)

        return asyncio.run(within())
