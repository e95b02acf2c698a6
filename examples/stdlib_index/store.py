"""The index: a SQLite file that many threads of several processes write at once.

SQLite has one writer at a time. Who does not get the lock within BUSY_S raises `database is
locked`, and the job is retried: that is the queue's business, not this module's. Every write
replaces what the same file wrote before, so a job that runs twice leaves what one run leaves.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from examples.stdlib_index.reading import Reading
    from examples.stdlib_index.sources import Source

BUSY_S = 0.05
READ_BUSY_S = 5.0
_TABLES = """
pragma journal_mode = wal;
create table modules (path text primary key, module text, package text, lines int, trouble text);
create table facts (path text, kind text, name text, line int);
create index facts_path on facts (path);
create table reports (
    package text primary key, modules int, broken int, lines int,
    functions int, classes int, imports int
);
"""
_REPORT = """
insert or replace into reports
select m.package, count(distinct m.path), count(distinct case when m.trouble <> '' then m.path end),
    (select sum(lines) from modules where package = m.package),
    sum(f.kind is 'function'), sum(f.kind is 'class'), sum(f.kind is 'import')
from modules m left join facts f on f.path = m.path where m.package = ?
group by m.package
"""


class PackageReport(NamedTuple):
    """What a package holds in all."""

    package: str
    modules: int
    broken: int
    lines: int
    functions: int
    classes: int
    imports: int


def create(database: Path) -> None:
    """Make the tables in a new file."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(_TABLES)


def write_reading(database: Path, source: Source, reading: Reading) -> None:
    """Put one module into the index; raises sqlite3.OperationalError when others write."""
    facts = [(source.path, fact.kind, fact.name, fact.line) for fact in reading.facts]
    _replace(database, source, reading.lines, "", facts)


def write_trouble(database: Path, source: Source, trouble: str) -> None:
    """Note that a file is no valid Python; raises sqlite3.OperationalError when others write."""
    _replace(database, source, 0, trouble, [])


def write_report(database: Path, package: str) -> None:
    """Sum up a package; raises sqlite3.OperationalError when others write."""
    with _writing(database) as connection:
        connection.execute(_REPORT, (package,))


def modules_of(database: Path, package: str) -> int:
    """How many files of a package have been read, valid or not."""
    query = "select count(*) from modules where package = ?"
    return int(_read(database, query, package)[0][0])


def modules_read(database: Path) -> int:
    """How many files are in the index as valid Python."""
    return int(_read(database, "select count(*) from modules where trouble = ''")[0][0])


def largest(database: Path, count: int) -> list[PackageReport]:
    """The packages with the most lines that have a report."""
    rows = _read(database, "select * from reports order by lines desc limit ?", count)
    return [PackageReport(*row) for row in rows]


def _replace(
    database: Path, source: Source, lines: int, trouble: str, facts: Sequence[tuple[object, ...]]
) -> None:
    with _writing(database) as connection:
        connection.execute("delete from facts where path = ?", (source.path,))
        row = (source.path, source.module, source.package, lines, trouble)
        connection.execute("insert or replace into modules values (?, ?, ?, ?, ?)", row)
        connection.executemany("insert into facts values (?, ?, ?, ?)", facts)


@contextmanager
def _writing(database: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that holds the one lock from its start: all is written, or nothing."""
    with closing(sqlite3.connect(database, BUSY_S, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        with connection:
            yield connection


def _read(database: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database, READ_BUSY_S)) as connection:
        return connection.execute(query, values).fetchall()
