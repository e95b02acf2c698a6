"""Writes a job into the user's own transaction; the role `relay` publishes it after the commit.

A row holds the very record that an enqueue would have sent: bytes, partition and headers. So
whatever can be wrong with a job is found at the call, and a row that is published twice is the
same job twice, which its id makes one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from jobstream.errors import ConfigError
from jobstream.job import Job
from jobstream.sql.handles import async_handle_of, handle_of
from jobstream.topics.names import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from sqlalchemy.engine import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from jobstream.enqueue.composing import Composed
    from jobstream.job import ComposeOptions
    from jobstream_processors.context import Context
    from jobstream_processors.ports import Outgoing

    Held = Session | Connection | scoped_session[Any] | str
    AsyncHeld = AsyncSession | AsyncConnection | async_scoped_session[Any]

Args = TypeVar("Args")

LANES = 16
"""A relay publishes the rows of a lane in their order; several relays share the lanes."""
_COLUMNS = (
    *("app", "lane", "job_id", "job_type", "topic", "partition", "key", "value", "headers"),
    "writer_schema",
)
_INSERT = (
    f"INSERT INTO jobstream_outbox ({', '.join(_COLUMNS)}) "  # noqa: S608 - names of columns
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"
)


@dataclass(frozen=True, slots=True)
class WrittenJob:
    """A job in an open transaction. It is enqueued if, and only if, that is committed."""

    job_id: str
    topic: str
    """Where the relay will publish it: its queue's topic, or a rung for a delayed job."""
    partition: int


def enqueue_in(
    held: Held,
    job: Job[Args, Any],
    args: Args,
    *,
    parent: Context | None = None,
    **options: Unpack[ComposeOptions],
) -> WrittenJob:
    """Write a job with the caller's own rows: one commit for all of it, or none.

    `held` is a `Session` or `Connection` of SQLAlchemy, or in Django an alias such as "default".
    Options as in `Job.enqueue`, and `parent=ctx` with `child_name` inside of a handler: a repeated
    run of the parent then writes the same job. `delay` and `expires_in` count from when the relay
    has published the job. One statement; contacts no broker, and bounds of a queue do not apply.

    Raises WrongArgs, JobTooLarge, ConfigError, and EnqueueVetoed and MiddlewareFailed of the app's
    middleware, before anything is written, NotInTransaction where each statement is committed by
    itself, and TablesMissing. A return proves that the row is in the open transaction, no more.
    """
    row, written = _row(job, args, parent, options)
    handle_of(held, "await aenqueue_in(...)").run(_INSERT, row)
    return written


async def aenqueue_in(
    held: AsyncHeld,
    job: Job[Args, Any],
    args: Args,
    *,
    parent: Context | None = None,
    **options: Unpack[ComposeOptions],
) -> WrittenJob:
    """As `enqueue_in`, with an `AsyncSession` or `AsyncConnection`."""
    row, written = _row(job, args, parent, options)
    await async_handle_of(held, "enqueue_in(...)").run(_INSERT, row)
    return written


def lane_of(topic: str, partition: int) -> int:
    """The lane of a partition, so that rows of one order key are always of one lane."""
    return crc32(f"{topic}:{partition}".encode()) % LANES


def headers_text(record: Outgoing) -> str | None:
    """The record's headers as the row has them: JSON, and None where there are none."""
    if not record.headers:
        return None
    pairs = [(name, (raw or b"").decode("latin-1")) for name, raw in record.headers]
    return json.dumps(pairs)


def headers_of(text: str | None) -> list[tuple[str, bytes]] | None:
    """What `headers_text` wrote; raises ValueError for anything else, however it is nested."""
    if text is None:
        return None
    try:
        pairs = json.loads(text)
        if isinstance(pairs, list):
            return [_header(*pair) for pair in pairs]
    except (TypeError, ValueError, RecursionError) as error:
        message = f"headers {text!r:.80} are not those of a job: {error}"
        raise ValueError(message) from error
    message = f"headers {text!r:.80} are not those of a job"
    raise ValueError(message)


def _header(name: object, raw: object) -> tuple[str, bytes]:
    if not isinstance(name, str) or not isinstance(raw, str):
        message = "each is two texts, its name and its value"
        raise TypeError(message)
    name.encode()  # Half of a surrogate pair is no text that Kafka's client takes.
    return name, raw.encode("latin-1")


def _row(
    job: Job[Any, Any], args: object, parent: Context | None, options: Mapping[str, Any]
) -> tuple[dict[str, object], WrittenJob]:
    if not isinstance(job, Job):
        message = f"{job!r:.80} is no job type: give what @app.job or app.declare made"
        raise ConfigError(message)
    with job.counts.failing():
        composed: Composed = job.compose(args, parent=parent, **options)
    meta, record = composed
    plan = job.kind.plan
    topic = parse(plan.topic)
    assert topic is not None, "it is a queue's"  # noqa: S101 - an invariant
    row = {
        "app": topic.app,
        "lane": lane_of(record.topic, record.partition),
        "job_id": meta.id,
        "job_type": job.name,
        "topic": record.topic,
        "partition": record.partition,
        "key": record.key,
        "value": record.value,
        "headers": headers_text(record),
        "writer_schema": job.codec.schema.json,
    }
    return row, WrittenJob(meta.id, record.topic, record.partition)
