"""Schedules, workers and the audit, from the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, tuple_

from jobstream.kafka.follow.control_topic import entry_of
from jobstream.schedule_view import KnownCode, shown_schedule, trouble_of
from jobstream.views.asking import cursor_of, place_in
from jobstream.views.db_tables import audit, entries
from jobstream.views.db_tables import workers as members
from jobstream.views.view_answers import Act, RowPage, WorkerRow
from jobstream_processors.core.orders import in_force
from jobstream_processors.errors import InvalidOption
from jobstream_processors.schedule.schedule_book import ScheduleBook
from jobstream_schemas import Catalogue, DecodeError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from jobstream.schedule_view import Schedule
    from jobstream_processors.core.orders import Order, Orders

GONE_MS = 60_000
"""A member that the brokers have not listed for so long is not shown."""


class _Stored:
    """An entry in the shape of the record that it came in."""

    def __init__(self, key: bytes, value: bytes, at_ms: int) -> None:
        self._key, self._value, self._at_ms = key, value, at_ms

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 2, self._at_ms


def schedules(connection: Connection, now_ms: int) -> tuple[Schedule, ...]:
    """By name."""
    book = ScheduleBook()
    query = select(entries).where(entries.c.kind == "schedules")
    for row in connection.execute(query.order_by(entries.c.at_ms, entries.c.offset)):
        book.take(row.key, row.value, row.at_ms)
    there = [each for each in book.schedules.values() if not each.is_gone]
    # No code is known here: what only it could tell of a schedule, `jobstream schedules` tells.
    known = KnownCode({}, {}, Catalogue())
    return tuple(
        shown_schedule(each, now_ms, trouble_of(each, known))
        for each in sorted(there, key=lambda one: one.name)
    )


def orders(connection: Connection, now_ms: int) -> Orders:
    """The control entries in force."""
    found: list[Order] = []
    query = select(entries).where(entries.c.kind == "control").order_by(entries.c.at_ms)
    for row in connection.execute(query):
        try:
            found.append(entry_of(_Stored(row.key, row.value, row.at_ms)))  # type: ignore[arg-type] # as far as it is read
        except (DecodeError, InvalidOption):
            continue
    return in_force(found, now_ms)


def workers(connection: Connection, now_ms: int) -> tuple[WorkerRow, ...]:
    """By group and host."""
    told = orders(connection, now_ms)
    query = select(members).where(members.c.seen_ms > now_ms - GONE_MS)
    ordered = query.order_by(members.c.group, members.c.host, members.c.member)
    found = []
    for row in connection.execute(ordered):
        quiet = told.quiets_worker(row.client)
        found.append(WorkerRow(**row._mapping, quiet=quiet.told if quiet is not None else ""))  # noqa: SLF001 - the library's name
    return tuple(found)


def acts(connection: Connection, after: str | None, limit: int) -> RowPage[Act]:
    """The newest first."""
    place = place_in(after, int, str, int, int)
    order = (audit.c.at_ms, audit.c.topic_id, audit.c.partition, audit.c.offset)
    query = select(audit)
    if place is not None:
        query = query.where(audit.c.at_ms <= place[0], tuple_(*order) < tuple_(*place))
    newest = query.order_by(*(column.desc() for column in order)).limit(limit + 1)
    rows = list(connection.execute(newest))
    found = tuple(
        Act(
            row.at_ms, row.kind, row.subject, row.act, row.who, row.why, row.until_ms,
            (row.topic, row.partition, row.offset),
        )
        for row in rows[:limit]
    )  # fmt: skip
    last = rows[limit - 1] if len(rows) > limit else None
    cursor = None
    if last is not None:
        cursor = cursor_of(last.at_ms, last.topic_id, last.partition, last.offset)
    return RowPage(found, cursor)
