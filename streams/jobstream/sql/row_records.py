"""Turns a row of the outbox into the record to publish, or says why it can't be one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobstream.sql.job_rows import headers_of
from jobstream_processors.core.headers import parse, render
from jobstream_processors.core.identity import is_drawn
from jobstream_processors.core.ladder import rung_partition
from jobstream_processors.core.partition import partition_for
from jobstream_processors.errors import BadHeaders
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Catalogue, JobSchema, SchemaError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Row

    from jobstream_processors.core.headers import Headers
    from jobstream_processors.queue_plan import QueuePlan


COLUMNS: Mapping[str, tuple[type, ...]] = {
    "job_type": (str,),
    "topic": (str,),
    "job_id": (str,),
    "key": (bytes,),
    "value": (bytes,),
    "headers": (str, type(None)),
    "partition": (int,),
    "writer_schema": (str,),
}
"""What they hold. In SQLite any column takes any value."""


class RefusedRow(Exception):
    """The row can't be published, now or later, as it is."""


class RowReader:
    """Reads rows of one app. Belongs to one thread."""

    def __init__(
        self, plans: Mapping[str, QueuePlan], types: Collection[str], bytes_max: int
    ) -> None:
        self._types = types
        self._bytes_max = bytes_max
        self._catalogue = Catalogue()
        self._schemas: dict[str, JobSchema] = {}
        """By their text, which every row has."""
        self.plan_of = {plan.topic: plan for plan in plans.values()} | {
            topic: plan for plan in plans.values() for topic, _ in plan.rungs.values()
        }
        """By topic, of queues and rungs."""

    def record(self, row: Row[Any]) -> tuple[Outgoing, JobSchema]:
        """The record, and the schema that must be published before it.

        Raises RefusedRow, naming what is wrong and what helps.
        """
        try:
            return self._record(row)
        except (RefusedRow, MemoryError):  # The second says nothing of the row.
            raise
        except (SchemaError, BadHeaders, ValueError) as error:
            message = f"it can't be read as a job: {error}"
            raise RefusedRow(message) from error
        # Whatever a row holds, it must not end the relay: it would end each one after it as well.
        except Exception as error:
            message = f"it can't be read as a job: {type(error).__name__}: {error}"
            raise RefusedRow(message) from error

    def _record(self, row: Row[Any]) -> tuple[Outgoing, JobSchema]:
        for name, types in COLUMNS.items():
            found = getattr(row, name)
            if not isinstance(found, types):
                message = (
                    f"column {name} holds {found!r:.80}, which is no {types[0].__name__}: only "
                    "enqueue_in and aenqueue_in may write this table"
                )
                raise RefusedRow(message)
        if row.job_type not in self._types:
            message = (
                f"job type {row.job_type!r} is not declared by the code that the relay runs: start "
                "the relay with the code of the service that wrote the row"
            )
            raise RefusedRow(message)
        if row.topic not in self.plan_of:
            message = (
                f"topic {row.topic!r} is of no queue that the relay's code declares: declare the "
                "queue, or start the relay with the code of the service that wrote the row"
            )
            raise RefusedRow(message)
        if len(row.value) > self._bytes_max:
            message = (
                f"the job has {len(row.value)} bytes, the cap is {self._bytes_max} "
                "(JOBSTREAM_ENQUEUE_BYTES_MAX)"
            )
            raise RefusedRow(message)
        schema = self._schema(row.writer_schema)
        decoded = self._catalogue.decode(row.value)
        partition, headers = self._place(row, headers_of(row.headers))
        if decoded.id != row.job_id:
            message = f"its job has the id {decoded.id!r}, the row says {row.job_id!r}"
            raise RefusedRow(message)
        return Outgoing(row.topic, row.key, row.value, partition, headers), schema

    def _place(self, row: Row[Any], headers: Headers | None) -> tuple[int, Headers | None]:
        """The row's partition and headers, by the count that its queue has today.

        The queue may have been grown since the row was written: in its old partition the job would
        run beside others of its key, and a repeat of its id would not be found.
        """
        key, plan = row.key, self.plan_of[row.topic]
        if is_drawn(row.job_id) and key == row.job_id.encode():
            return row.partition, headers  # Nothing looks for it by its key.
        destination, carried = partition_for(key, plan.partitions), parse(headers)
        counts = dict(plan.rungs.values())
        partition = destination
        if row.topic in counts:
            partition = rung_partition(destination, counts[row.topic])
        if carried.partition in {None, destination}:
            return partition, headers
        return partition, render(replace(carried, partition=destination), headers)

    def _schema(self, text: str) -> JobSchema:
        known = self._schemas.get(text)
        if known is None:
            text.encode()  # Half of a surrogate pair can't be published.
            made = self._catalogue.register(text)
            known = JobSchema(made.job_type, made.fingerprint, text, made.schema)
            self._schemas[text] = known
        return known
