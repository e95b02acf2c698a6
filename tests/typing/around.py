"""What is around handlers and enqueues, as the documentation shows it: lifespans and middleware.

Never run. A statement whose comment says so is wrong on purpose.
"""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_type

from jobstream import App, Context, Enqueued, EnqueueVetoed, Enqueuing, Middleware

app = App("shop")


@dataclass(frozen=True)
class Receipt:
    order_id: str


class Pool:
    size: int = 3


@app.lifespan
async def pool() -> AsyncIterator[Pool]:
    yield Pool()


@app.lifespan
def cache() -> Iterator[dict[str, int]]:
    yield {}


@app.lifespan
@contextmanager
def managed() -> Generator[None, None, None]:
    yield


app.lifespan(lambda: 5)  # rejected


@app.lifespan  # rejected
def wants(args: Receipt) -> Iterator[None]:
    yield


@app.job
async def uses(args: Receipt, ctx: Context) -> None:
    assert_type(ctx.resources[Pool], Pool)
    ctx.resources[Pool].count  # rejected


@app.middleware
class Tenants(Middleware):
    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        if job.queue == "mail":
            raise EnqueueVetoed("not now")
        job.headers["tenant"] = "acme"
        job.headers["number"] = 5  # rejected
        job.delay, job.run_at = "5m", datetime.now(UTC)
        job.delai = "5m"  # rejected
        yield
        assert_type(job.enqueued, Enqueued | None)

    def run(self, args: object, ctx: Context) -> Iterator[None]:
        assert_type(ctx.headers.get("tenant"), str | None)
        yield

    async def arun(self, args: object, ctx: Context) -> AsyncIterator[None]:
        yield


assert_type(Tenants(), Tenants)
app.middleware(Tenants())
app.middleware(Pool)  # rejected
app.middleware(print)  # rejected


class Wrong(Middleware):
    def run(self, job: Enqueuing) -> Iterator[None]:  # rejected
        yield

    async def enqueue(self, job: Enqueuing) -> AsyncIterator[None]:  # rejected
        yield
