"""Builds the tables anew from the log, beside those in use, and takes their place at once.

Readers see the old rows until the switch and the new ones after it. A projection that runs
meanwhile goes on behind the offsets that it finds then, since the database's are the truth.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from jobstream.views.batch import Run
from jobstream.views.database import check_revision_in, opened, own_turn, parsed_url, translated
from jobstream.views.db_tables import metadata
from jobstream.views.migrating import migrate
from jobstream.views.owner import check_owner
from jobstream.views.projection import Projection
from jobstream.views.tables_built import mark_built

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

    from jobstream.operate.scan import Progress
    from jobstream.operate.view import AppView
    from jobstream.views.changes import Where
    from jobstream_processors.ports import Record, TopicPartition

BATCH = 5_000
PASSES_MAX = 20
NEAR = 1_000
"""So few records behind, the switch is worth it: the projection folds the rest."""
BESIDE = ".rebuild"
SCHEMA = "jobstream_rebuild"


def rebuild(view: AppView, url: str, progress: Progress) -> int:
    """Fold the whole log into fresh tables, and put them in the place of the old; how many records.

    Blocks for as long as the log is: `progress` hears (records read, records there were). Raises
    DatabaseAway, and DatabaseOlder or DatabaseNewer where another version has changed the tables in
    use meanwhile, DatabaseTaken where those are another app's; they are then as they were.
    """
    is_file = parsed_url(url).get_backend_name() == "sqlite"
    live = opened(url)
    migrate(live)
    with own_turn(live) as connection:
        check_owner(connection, view.app)
    beside = _beside_file(url) if is_file else _beside_schema(live, url)
    try:
        migrate(beside)
        mark_built(beside)
        records = _fill(Projection(view, beside), progress)
        if is_file:
            _copy_in(live, beside)
        else:
            _move_in(live)
    finally:
        beside.dispose()
        live.dispose()
        if is_file:
            _remove(url)
    return records


def _fill(projection: Projection, progress: Progress) -> int:
    """Read until hardly anything is left; returns how many records were folded."""
    view = projection.view
    for number in range(PASSES_MAX):
        topics = projection.topics()
        places = [
            (name, partition)
            for names in topics.values()
            for name in names
            for partition in range(view.counts[name])
        ]
        starts = projection.starts(places)
        ends = {at: high for at, (_, high) in view.cluster.spans(places).items()}
        left = sum(ends[at] - offset for at, (_, offset) in starts.items())
        if left == 0 or (number and left <= NEAR):
            break
        _pass(projection, starts, ends, progress)
    return projection.folded


def _pass(
    projection: Projection,
    starts: Mapping[TopicPartition, tuple[Where, int]],
    ends: Mapping[TopicPartition, int],
    progress: Progress,
) -> None:
    at = {place: offset for place, (_, offset) in starts.items()}
    spans = {place: (offset, ends[place]) for place, offset in at.items()}
    waiting: dict[TopicPartition, list[Record]] = {}
    count = 0

    def write(*, is_last: bool) -> None:
        nonlocal count
        runs = []
        for place in starts if is_last else list(waiting):
            records = waiting.pop(place, [])
            stop = ends[place] if is_last else (records[-1].offset() or 0) + 1
            runs.append(Run(starts[place][0], at[place], stop, records, ends[place], _now_ms()))
            at[place] = stop
        projection.write(runs)
        count = 0

    for record in projection.view.records(spans, progress):
        waiting.setdefault((record.topic() or "", record.partition() or 0), []).append(record)
        count += 1
        if count >= BATCH:
            write(is_last=False)
    write(is_last=True)


# -- SQLite: a file beside, copied in by one transaction


def _beside_file(url: str) -> Engine:
    _remove(url)
    return opened(url + BESIDE)


def _remove(url: str) -> None:
    path = parsed_url(url).database or ""
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{BESIDE}{end}").unlink()


def _copy_in(live: Engine, beside: Engine) -> None:
    """One transaction, so that a reader sees all of the old rows or all of the new."""
    path = beside.url.database
    with translated(), live.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None, "it was just made"  # noqa: S101
        raw.execute("ATTACH DATABASE ? AS beside", (path,))
        try:
            with connection.begin():
                check_revision_in(connection)
                for table in metadata.sorted_tables:
                    raw.execute(f'DELETE FROM main."{table.name}"')  # noqa: S608 - names of ours
                    columns = ", ".join(f'"{column.name}"' for column in table.c)
                    raw.execute(
                        f'INSERT INTO main."{table.name}" ({columns}) '  # noqa: S608 - as above
                        f'SELECT {columns} FROM beside."{table.name}"'
                    )
        finally:
            raw.execute("DETACH DATABASE beside")


# -- PostgreSQL: a schema beside, whose tables move


def _beside_schema(live: Engine, url: str) -> Engine:
    with translated(), live.begin() as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    return opened(url, schema=SCHEMA)


def _move_in(live: Engine) -> None:
    names = [*(table.name for table in metadata.sorted_tables), "alembic_version"]
    with own_turn(live) as connection:
        here = connection.execute(text("SELECT current_schema()")).scalar_one()
        for name in names:
            connection.execute(text(f'DROP TABLE "{name}"'))
            connection.execute(text(f'ALTER TABLE {SCHEMA}."{name}" SET SCHEMA "{here}"'))
        connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))


def _now_ms() -> int:
    return int(time.time() * 1000)
