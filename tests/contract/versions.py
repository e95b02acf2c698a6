"""Versions of one app, `shop`, with one job type, `send`: what a deploy changes."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from jobstream import App, Backoff
from jobstream.testing.memory_transport import MemoryTransport

if TYPE_CHECKING:
    from jobstream import Job
    from jobstream.testing import MemoryJobs


class Old:
    """What stands in the deployed version."""

    class Size(Enum):
        SMALL = 1

    @dataclass(frozen=True)
    class Order:
        item: str
        count: int = 1


class New:
    """What stands in the version that is deployed next."""

    class Size(Enum):
        SMALL = 1
        LARGE = 2

    @dataclass(frozen=True)
    class Order:
        item: str
        count: int = 1
        id: UUID = field(default_factory=uuid4)
        at: datetime = field(default_factory=lambda: datetime.now(UTC))
        tags: list[str] = field(default_factory=lambda: ["web"])


def version(
    args: type[Any],
    *,
    executor: Any = None,  # noqa: ANN401 - its own literal
    hold_key: bool = False,
    refuses: bool = False,
) -> tuple[App, Any]:
    """One version of the app `shop` with its job `send`, and the args that it ran with.

    If it `refuses`, it does not start where jobs wait that it cannot read.
    """
    app = App("shop", allow_undecodable=not refuses)
    ran: list[Any] = []

    def send(args: Any) -> None:  # noqa: ANN401 - declared below
        ran.append(args)

    async def send_soon(args: Any) -> None:  # noqa: ANN401 - likewise
        ran.append(args)

    job: Job[Any, Any] = app.declare(
        "send",
        args,
        queue=app.queue("mail", partitions=1),
        retry=Backoff(attempts=3, first="1s"),
        on_failure="hold_key" if hold_key else "ladder",
        executor=executor,
    )
    job.handler(send_soon if executor == "async" else send)
    return app, ran


def thing(*fields: Any) -> type[Any]:  # noqa: ANN401 - as make_dataclass takes them
    """A version of the args."""
    return make_dataclass("Thing", fields, frozen=True)


def enqueue(app: App, jobs: MemoryJobs, args: object, **options: Any) -> Any:  # noqa: ANN401 - as Job.enqueue
    """Enqueue with one version of the app what another one is to run."""
    app.bind(MemoryTransport(jobs.broker))
    try:
        return app.jobs["send"].enqueue(args, **options)
    finally:
        app.bind(None)
