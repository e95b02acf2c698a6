"""A database that is full, or that another release has changed: nothing is stored by halves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, select, text
from tests.harness.folded import logs_of, made, part, rows_in, sqlite_in, whole
from tests.harness.played_shop import Shop, opened

from jobstream.views import database
from jobstream.views.db_tables import places
from jobstream.views.errors import DatabaseAway, DatabaseNewer, DatabaseOlder
from jobstream.views.views_reader import Views
from jobstream.views.views_retention import Keep, delete_old

if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection

    from sqlalchemy import Engine

    from jobstream.views.writing import Writer


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with opened() as played:
        for _ in range(40):
            played.play(
                [([(("ok",), "now"), (("dead",), "now"), (("fail", "ok"), "now")], "1s", "")]
            )
        yield played


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = database.opened(sqlite_in(tmp_path))
    yield found
    found.dispose()


@pytest.fixture
def writer(engine: Engine, shop: Shop) -> Writer:
    return made(engine, shop.jobs.broker, "shop")


def write(writer: Writer, shop: Shop) -> None:
    writer.write([whole(*each) for each in logs_of(shop.jobs.broker).items()])


def set_version(engine: Engine, version: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})


def test_a_full_database_takes_nothing_and_later_all_of_it(
    engine: Engine, writer: Writer, shop: Shop, tmp_path: Path
) -> None:
    limits = [0]

    @event.listens_for(engine, "checkout")
    def _limit(connection: Connection, *_: object) -> None:
        if limits[0]:
            connection.execute(f"PRAGMA max_page_count = {limits[0]}")

    before = rows_in(engine)
    with engine.connect() as connection:
        limits[0] = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 4
    engine.dispose()

    with pytest.raises(DatabaseAway, match="full"):
        write(writer, shop)

    assert rows_in(engine) == before
    limits[0] = 1_000_000
    engine.dispose()
    write(writer, shop)
    (tmp_path / "other").mkdir()
    other = database.opened(sqlite_in(tmp_path / "other"))
    write(made(other, shop.jobs.broker, "shop"), shop)
    assert rows_in(engine) == rows_in(other)
    other.dispose()


def test_an_old_release_stores_nothing_once_a_new_one_has_changed_the_tables(
    engine: Engine, writer: Writer, shop: Shop
) -> None:
    set_version(engine, "9999")

    with pytest.raises(DatabaseNewer, match="newer than"):
        write(writer, shop)

    with engine.connect() as connection:
        assert connection.execute(select(places)).all() == []
    with (
        Views(engine.url.render_as_string(hide_password=False)) as views,
        pytest.raises(DatabaseNewer),
    ):
        views.freshness()
    set_version(engine, "0001")
    write(writer, shop)
    with engine.connect() as connection:
        assert connection.execute(select(places)).all()


def test_a_new_release_waits_until_the_tables_are_migrated(
    engine: Engine, writer: Writer, shop: Shop
) -> None:
    set_version(engine, "0000")

    with pytest.raises(DatabaseOlder, match="jobstream views migrate"):
        write(writer, shop)


def test_a_run_of_a_partition_that_has_not_begun_is_handed_back(
    engine: Engine, writer: Writer, shop: Shop
) -> None:
    """Other tables may be in place by now: what lies before the run is not in them."""
    where, records = max(logs_of(shop.jobs.broker).items(), key=lambda log: len(log[1]))
    late = part(where, records, 10, len(records))

    written = writer.write([late])

    assert written.misplaced == (late,)
    assert written.nexts == {(where.topic, where.partition): None}
    with engine.connect() as connection:
        assert connection.execute(select(places)).all() == []


def test_an_old_release_deletes_nothing_of_a_new_one(
    engine: Engine, writer: Writer, shop: Shop
) -> None:
    write(writer, shop)
    before = rows_in(engine)
    set_version(engine, "9999")

    with pytest.raises(DatabaseNewer, match="newer than"):
        delete_old(engine, Keep(0, 1_000), 10**15)

    assert rows_in(engine) == before


def test_a_file_that_is_not_there_is_named_and_not_made_by_a_reader(tmp_path: Path) -> None:
    says = r"sqlite:////.*typo\.db has no tables yet"
    with Views(f"sqlite:///{tmp_path}/typo.db") as views, pytest.raises(DatabaseOlder, match=says):
        views.check()

    assert list(tmp_path.iterdir()) == []


def test_every_transaction_that_writes_takes_its_turn_and_looks_at_the_version() -> None:
    """But for those that make the tables, or a schema beside them."""
    folder = Path(database.__file__).parent
    found = {
        (path.name, function)
        for path in folder.glob("*.py")
        for function, body in re.findall(
            r"^( *def \w+)(.*?)(?=^ *def |\Z)", path.read_text(), re.MULTILINE | re.DOTALL
        )
        if re.search(r"engine\.begin\(\)|live\.begin\(\)|take_turn\(connection\)", body)
    }

    assert {(name, function.split()[-1]) for name, function in found} == {
        ("database.py", "own_turn"),
        ("migrating.py", "migrate"),
        ("rebuilding.py", "_beside_schema"),
    }
