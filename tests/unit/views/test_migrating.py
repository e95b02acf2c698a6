"""The steps make the tables that the code reads, and other versions' tables are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.harness.folded import sqlite_in

from jobstream.views.database import check_revision, opened
from jobstream.views.db_tables import REVISION, metadata
from jobstream.views.errors import DatabaseNewer, DatabaseOlder, DatabaseRefused
from jobstream.views.migrating import make_folder, migrate

if TYPE_CHECKING:
    from pathlib import Path


def test_the_steps_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = opened(sqlite_in(tmp_path))
    assert migrate(engine) == (None, REVISION)
    assert migrate(engine) == (REVISION, REVISION)
    check_revision(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.parametrize(
    ("found", "error", "says"),
    [
        ("0000", DatabaseOlder, "is of version 0000.*run jobstream views migrate"),
        ("9999", DatabaseNewer, "is of version 9999, newer than"),
    ],
)
def test_tables_of_another_version_are_refused(
    tmp_path: Path, found: str, error: type[Exception], says: str
) -> None:
    engine = opened(sqlite_in(tmp_path))
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{found}'")  # noqa: S608 - our own
    with pytest.raises(error, match=says):
        check_revision(engine)
    if error is DatabaseNewer:
        with pytest.raises(error, match=says):
            migrate(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nothing", "is no database"),
        ("mysql://host/name", "PostgreSQL and SQLite"),
        ("sqlite://", "give a file"),
    ],
)
def test_a_url_that_can_not_be_right_is_refused_by_name(url: str, says: str) -> None:
    with pytest.raises(DatabaseRefused, match=says):
        opened(url)


def test_a_schema_leaves_what_the_url_says_itself() -> None:
    engine = opened("postgresql://db/views?options=-c%20work_mem%3D9MB", schema="beside")

    assert engine.url.query["options"] == "-c work_mem=9MB -csearch_path=beside"


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseRefused, match="can't be made"):
        make_folder(f"sqlite:///{tmp_path}/file/more/views.sqlite3")
