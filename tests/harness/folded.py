"""Folds the log of an app in memory into a database, in whatever order a test says."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.testing import MemoryLog
from jobstream.topics.names import parse, schemas_topic
from jobstream.views.batch import Run
from jobstream.views.changes import Where
from jobstream.views.db_tables import REVISION, jobs, metadata, places
from jobstream.views.record_fold import Fold
from jobstream.views.writing import Writer
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream_processors.ports import Record

FOLDED = frozenset(("queue", "rung", "dlq", "dedup", "control", "schedules", "offsets"))


def fold_of(broker: MemoryBroker, app: str) -> Fold:
    """A fold that knows the app's schemas."""
    catalogue = Catalogue()
    SchemaFollower(MemoryLog(broker), schemas_topic(app), catalogue).catch_up()
    return Fold(catalogue)


def logs_of(broker: MemoryBroker) -> dict[Where, list[Record]]:
    """Every partition that is folded, with its records."""
    found: dict[Where, list[Record]] = {}
    for topic, count in sorted(broker.topics().items()):
        named = parse(topic)
        if named is not None and named.kind in FOLDED:
            for partition in range(count):
                where = Where(
                    topic, partition, broker.topic_id(topic), str(named.kind), named.queue,
                    named.rung,
                )  # fmt: skip
                found[where] = list(broker.records(topic, partition))
    return found


def whole(where: Where, records: Sequence[Record]) -> Run:
    """All of a partition in one run."""
    return part(where, records, 0, len(records))


def part(where: Where, records: Sequence[Record], first: int, last: int) -> Run:
    """The records at [first, last) of a partition, as they would be read."""
    ends = [(record.offset() or 0) + 1 for record in records]
    start = ends[first - 1] if first else 0
    stop = ends[last - 1] if last else 0
    end = ends[-1] if ends else 0
    return Run(where, start, stop, records[first:last], end, 0)


def made(engine: Engine, broker: MemoryBroker, app: str) -> Writer:
    """A writer to fresh tables; that `migrate` makes the same ones, a test of its own says."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT NOT NULL)")
        connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{REVISION}')")  # noqa: S608 - our own
    return Writer(engine, fold_of(broker, app), app)


def rows_in(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that the log decides, in an order of its own."""
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    left_out = {jobs: {"n"}, places: {"checked_ms", "end"}}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            names = [c for c in table.c if c.name not in left_out.get(table, set())]
            rows = connection.execute(select(*names))
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found


def sqlite_in(folder: Path) -> str:
    """The URL of a new file."""
    return f"sqlite:///{folder}/views.sqlite3"
