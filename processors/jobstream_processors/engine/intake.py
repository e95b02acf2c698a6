"""Steps 5 to 7 for most records: begin the offset, read headers and event, judge the delivery.

If the table knows the job, another delivery of it is in flight, or the record can't be read, the
delivery is judged in `engine/judge.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream_processors.core.headers import FIRST, NOT_UTF8, ask_headers, parse
from jobstream_processors.core.outcome import UNDECODABLE
from jobstream_processors.delivery import Delivery
from jobstream_processors.engine.key_parts import part_of
from jobstream_processors.engine.namesakes import unreadable
from jobstream_processors.errors import BadHeaders
from jobstream_schemas import DecodeError, UnknownSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.engine.judge import Judge, Taken
    from jobstream_processors.ports import Clock, Record, Trace
    from jobstream_schemas import Catalogue

CLOSE = 0.05
"""Records of one batch stand close together if they differ by this share of their wait at most."""


class Intake:
    """Makes deliveries of records. Used on the event loop's thread only."""

    def __init__(
        self,
        catalogue: Catalogue,
        clock: Clock,
        traced: Callable[[Record], Trace] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._traced = traced
        """Makes the trace of a record; None without tracing."""

    def begin(
        self, lane: Lane, records: Sequence[Record]
    ) -> tuple[list[Delivery], Sequence[Record]]:
        """Begin the offsets of `records`, which rise; those begun before are left out."""
        watermark = lane.watermark
        fresh = [
            Delivery(lane, offset, record.value() or b"", record.key())
            for record in records
            if (offset := record.offset()) is not None and watermark.begin(offset)
        ]
        if len(fresh) == len(records):
            return fresh, records
        by_offset = {record.offset(): record for record in records}
        return fresh, [by_offset[delivery.offset] for delivery in fresh]

    def read(self, fresh: list[Delivery], records: Sequence[Record]) -> list[Delivery]:
        """Read headers and events; leaves the reason in `trouble` where they can't be read."""
        if not fresh:
            return fresh
        catalogue, traced = self._catalogue, self._traced
        appended, each_ms = self._appended(records)
        for delivery, record in zip(fresh, records, strict=True):
            if traced is not None:
                delivery.trace = traced(record)
            if each_ms is not None:
                appended = record.timestamp()[1] - each_ms
            delivery.appended = appended
            try:
                # Once only: see `headers_of`, which this is without the call.
                if headers := ask_headers(record):
                    delivery.headers = headers
                    delivery.carried = parse(headers)
                delivery.reader, meta = catalogue.read(delivery.value)
                delivery.meta, delivery.id = meta, meta.id
                if meta.expires_in_ms is not None:
                    _limit(delivery, record, meta.expires_in_ms)
                if meta.unique_key is not None:
                    delivery.unique = part_of(delivery, record, meta.unique_key)
            except BadHeaders as bad:
                unreadable(delivery, "bad_headers", bad)
            except UnknownSchema as unknown:
                unreadable(delivery, "unknown_schema", unknown)
            except DecodeError as damaged:
                unreadable(delivery, UNDECODABLE, damaged)
            except (SystemError, UnicodeDecodeError):
                unreadable(delivery, "bad_headers", BadHeaders(NOT_UTF8))
        return fresh

    @staticmethod
    def judge(lane: Lane, fresh: Sequence[Delivery], judge: Judge) -> list[Taken]:
        """Judge deliveries of one lane, in offset order."""
        ids = [delivery.id for delivery in fresh]
        found = lane.shard.get(ids)
        inflight, specs, counted = judge.inflight, judge.specs, lane.meter
        plain_from = max(lane.left.before, lane.suspect_before)
        taken: list[Taken] = []
        for delivery, known in zip(fresh, found, strict=True):
            # Looked up one by one: the other of one may be the one before it.
            other = inflight.get(delivery.id)
            if (
                known is None
                and other is None
                and delivery.carried is FIRST
                and delivery.offset >= plain_from
                and (reader := delivery.reader) is not None
                and (spec := specs.get(reader.job_type)) is not None
            ):
                # Nearly every delivery: the first of its job, of which nothing is known.
                inflight[delivery.id] = delivery
                delivery.meant_for(spec, counted)
                taken.append((delivery, None))
            elif (judged := judge.judge(delivery, known, other)) is not None:
                taken.append(judged)
        return taken

    def _appended(self, records: Sequence[Record]) -> tuple[float, float | None]:
        """When the records came to their queue, in ms of awake time: one value for all.

        Asking each costs more than counting it. So if they stand close together, compared with how
        long they have waited, their middle is taken. Else the second value is what to take off the
        append time of each.
        """
        first, last = records[0].timestamp()[1], records[-1].timestamp()[1]
        now_ms = self._clock.broker_ms()
        apart_ms = now_ms - self._clock.awake_s() * 1_000
        if abs(last - first) <= (now_ms - max(first, last)) * CLOSE:
            return (first + last) / 2 - apart_ms, None
        return first - apart_ms, apart_ms


def _limit(delivery: Delivery, record: Record, expires_in_ms: int) -> None:
    """Say from when on it must not start, counted from the job's first append."""
    first_ms, carried = record.timestamp()[1], delivery.carried
    if carried.enqueued_ms is not None:
        # A header may come from anybody: no job was appended after its copy.
        first_ms = min(first_ms, carried.enqueued_ms)
    delivery.carried = replace(carried, enqueued_ms=first_ms)
    delivery.expires_ms = first_ms + expires_in_ms
