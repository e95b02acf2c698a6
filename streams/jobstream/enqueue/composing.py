"""Steps 1 and 2: from a job's args and options to its meta, and to the record that is sent."""

from __future__ import annotations

import platform
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import uuid_utils

from jobstream.enqueue.counts import Counts
from jobstream.enqueue.first_rung import delayed
from jobstream.enqueue.uniqueness import Override, Uniqueness
from jobstream.errors import ConfigError, JobTooLarge, WrongArgs
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.identity import check_key, from_caller
from jobstream_processors.core.job_keys import JobKeys
from jobstream_processors.core.partition import any_partition, partition_for
from jobstream_processors.core.unique_mode import is_within
from jobstream_processors.errors import InvalidOption
from jobstream_processors.ports import Outgoing
from jobstream_processors.queue_plan import QueuePlan
from jobstream_schemas import EncodeError, JobCodec, Meta, caused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from jobstream.enqueue.transport import Transport

    KeyFor = Callable[["JobKind", Any, "When"], "When"]

KEYS_KEPT = 4_096
"""Order keys whose partition is remembered: to hash one takes microseconds."""
Composed = tuple[Meta, Outgoing]


class Entrance(Protocol):
    """The way onto a queue that has bounds."""

    def enter(self, transport: Transport, now_s: float) -> None:
        """Let one enqueue pass, or raise QueueBehind. Does not block."""


@dataclass(slots=True, eq=False)
class JobKind:
    """A job type as its client sees it."""

    codec: JobCodec[Any]
    plan: QueuePlan
    first_name: str
    """The name that ids derive from: the first that the type had."""
    keys: JobKeys | None = None
    """How its jobs' keys are made of their args; None where it declares none."""
    unique: Uniqueness | None = None
    """How its jobs want their unique key; None where it declares none."""
    door: Entrance | None = None
    """Of its queue, if that has bounds."""
    counts: Counts = field(init=False)
    """The counts of what this process enqueued."""

    def __post_init__(self) -> None:
        self.counts = Counts(self.plan.name, self.codec.schema.job_type)


@dataclass(slots=True)  # A frozen one takes three times as long to make.
class When:
    """How a job is to be enqueued; every field is optional."""

    delay: Duration | None = None
    run_at: datetime | None = None
    key: str | None = None
    idempotency_key: str | None = None
    expires_in: Duration | None = None
    correlation_id: str | None = None
    unique: Override = None


def when_of(options: Mapping[str, Any]) -> When:
    """The options by their names; raises ConfigError for one that there is not."""
    try:
        return When(**options)
    except TypeError as error:
        raise ConfigError(str(error)) from error


class GivesKeys(Protocol):
    """An HTTP request that has a key, of which the keys of its jobs are made."""

    def sending(self) -> AbstractContextManager[KeyFor]:
        """A function that gives a job its key, for what is sent inside the block."""


REQUEST: ContextVar[GivesKeys | None] = ContextVar("jobstream_request_keys", default=None)
"""The request that runs here, if it has a key; usually none."""


class Composer:
    """Composes the jobs of one client."""

    def __init__(self, now_ms: Callable[[], int], bytes_max: int) -> None:
        self._now_ms = now_ms
        self._bytes_max = bytes_max
        self._partition_of = lru_cache(KEYS_KEPT)(partition_for)
        self._source = platform.node()[:128]

    def compose(
        self,
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> Composed:
        """The job's meta, and its record. Raises ConfigError, WrongArgs or JobTooLarge."""
        plan, order = kind.plan, when.key
        key, unique, limit, fair = order, None, None, None
        expires_in_ms = encoded = None
        drawn = job_id is None and when.idempotency_key is None
        try:
            if when.idempotency_key is not None:
                job_id = from_caller(kind.first_name, when.idempotency_key)
            elif job_id is None:
                job_id = str(uuid_utils.uuid7())
            if kind.keys is not None:
                encoded = kind.codec.encode_args(args)
                order, unique, limit, fair, key = kind.keys.of(args, order)
                if kind.unique is not None and unique is not None:
                    named = when.idempotency_key is not None or parent_id is not None
                    unique, job_id = kind.unique.apply(
                        unique, when.unique, job_id, drawn=drawn, named=named, now_ms=self._now_ms
                    )
            if when.unique is not None and kind.unique is None:
                _refuse_override(kind)
            if key is not None:
                partition = self._partition_of(check_key("key", key).encode(), plan.partitions)
            elif drawn:
                partition = any_partition(job_id, plan.partitions)
            else:
                partition = partition_for(job_id.encode(), plan.partitions)
            if when.expires_in is not None or when.correlation_id is not None:
                expires_in_ms = _checked(when, parent_id)
            # By position: by name it would cost a tenth of the whole enqueue.
            meta = Meta(
                job_id,
                self._now_ms(),
                self._source,
                order,
                unique,
                expires_in_ms,
                parent_id,
                when.correlation_id,
                limit,
                fair,
            )
            codec = kind.codec
            value = codec.encode(meta, args) if encoded is None else codec.event(meta, encoded)
            if len(value) > self._bytes_max:
                self._refuse(kind, len(value))
            record = Outgoing(plan.topic, (key or job_id).encode(), value, partition)
            if when.delay is None is when.run_at:
                return meta, record
            stays = unique is not None and not is_within(unique)
            return meta, delayed(plan, record, when.delay, when.run_at, stays=stays)
        except (InvalidOption, EncodeError) as error:
            raise caused(refusal(error), error.__cause__) from error.__cause__

    def _refuse(self, kind: JobKind, size: int) -> NoReturn:
        message = (
            f"job {kind.codec.schema.job_type!r} has {size} bytes, the cap is {self._bytes_max}, "
            "so it was not written; put the bulk in a store and enqueue a reference to it"
        )
        raise JobTooLarge(message)


def _refuse_override(kind: JobKind) -> NoReturn:
    message = (
        f"unique= is given, and job {kind.codec.schema.job_type!r} declares no unique= or debounce="
        ", which says of what its keys are made; declare it"
    )
    raise InvalidOption(message)


def _checked(when: When, parent_id: str | None) -> int | None:
    """The milliseconds of `expires_in`; raises InvalidOption for it, or the correlation id."""
    if when.correlation_id is not None and parent_id is None:
        check_key("correlation_id", when.correlation_id)
    return (
        None if when.expires_in is None else to_ms(when.expires_in, name="expires_in", least_ms=1)
    )


def refusal(error: InvalidOption | EncodeError) -> ConfigError | WrongArgs:
    """The error for the caller: a refused option, or a value of the args that does not fit."""
    if isinstance(error, EncodeError) and not error.path.startswith("meta"):
        end = "\n" if error.others else "; "
        return WrongArgs(f"{error}{end}the job was not written")
    return ConfigError(str(error))
