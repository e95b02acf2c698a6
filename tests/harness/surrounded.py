"""An app with middleware: its handlers say what they see."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream import (
    App,
    Backoff,
    Context,
    Enqueuing,
    Job,
    Middleware,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


@dataclass(frozen=True)
class Mail:
    to: str


class Shop:
    """An app with a handler of each kind; they say what they see."""

    def __init__(self, *middlewares: Middleware, is_async: bool = False) -> None:
        self.said: list[str] = []
        self.app = app = App("shop")
        for each in middlewares:
            app.middleware(each)
        said = self.said

        def does(args: Mail, ctx: Context) -> None:
            said.append(f"{args.to} of {TENANT.get()}")
            if args.to == "bad" and ctx.attempt < 3:
                message = "no such address"
                raise ValueError(message)
            if args.to == "stops":
                raise StopIteration

        @app.job(retry=Backoff(attempts=3, first="5s", jitter=False))
        async def on_loop(args: Mail, ctx: Context) -> None:
            does(args, ctx)

        @app.job(retry=Backoff(attempts=3, first="5s", jitter=False))
        async def waits(args: Mail, ctx: Context) -> None:
            await asyncio.sleep(0)
            does(args, ctx)

        self.jobs: dict[str, Job[Mail, Any]] = {"on_loop": on_loop, "waits": waits}
        if not is_async:

            @app.job(retry=Backoff(attempts=3, first="5s", jitter=False))
            def in_thread(args: Mail, ctx: Context) -> None:
                does(args, ctx)

            self.jobs["in_thread"] = in_thread

        @app.job
        async def alone(args: Mail) -> None:
            said.append(f"{args.to} alone of {TENANT.get()}")

        @app.job
        async def parent(args: Mail, ctx: Context) -> None:
            await ctx.aenqueue(on_loop, args)

        self.jobs["alone"] = alone
        self.on_loop, self.alone, self.parent = on_loop, alone, parent


KINDS = ("on_loop", "waits", "in_thread")


class Says(Middleware):
    """Says what it sees around everything."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said = name, said

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        self.said.append(f"{self.name} before {job.name}")
        try:
            yield
        except Exception as error:
            self.said.append(f"{self.name} sees {type(error).__name__}")
            raise
        self.said.append(f"{self.name} after {job.enqueued is not None}")

    def run(self, args: Mail, ctx: Context) -> Iterator[None]:
        self.said.append(f"{self.name} runs {args.to} {ctx.attempt}")
        try:
            yield
        except BaseException as error:
            self.said.append(f"{self.name} sees {type(error).__name__}")
            raise
        self.said.append(f"{self.name} ran")


class Tenants(Middleware):
    """Sends the tenant along, and binds it where the job runs."""

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        job.headers["tenant"] = TENANT.get()
        yield

    def run(self, args: Mail, ctx: Context) -> Iterator[None]:
        assert args.to
        token = TENANT.set(ctx.headers["tenant"])
        yield
        TENANT.reset(token)


def enqueued_by(tenant: str, shop: Shop, kind: str, to: str) -> None:
    token = TENANT.set(tenant)
    shop.jobs[kind].enqueue(Mail(to))
    TENANT.reset(token)
