"""Turns a row of the outbox into the record to publish, or says why it can't be one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.sql.job_rows import headers_of
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Catalogue, JobSchema, SchemaError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Row

    from jobstream_processors.queue_plan import QueuePlan


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
        try:
            schema = self._schema(row.writer_schema)
            decoded = self._catalogue.decode(bytes(row.value))
            headers = headers_of(row.headers)
        except (SchemaError, ValueError) as error:
            message = f"it can't be read as a job: {error}"
            raise RefusedRow(message) from error
        if decoded.id != row.job_id:
            message = f"its job has the id {decoded.id!r}, the row says {row.job_id!r}"
            raise RefusedRow(message)
        record = Outgoing(row.topic, bytes(row.key), bytes(row.value), row.partition, headers)
        return record, schema

    def _schema(self, text: str) -> JobSchema:
        known = self._schemas.get(text)
        if known is None:
            made = self._catalogue.register(text)
            known = JobSchema(made.job_type, made.fingerprint, text, made.schema)
            self._schemas[text] = known
        return known
