"""Brings the tables to the form of this version, in one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

from jobstream.views.database import check_revision, parsed_url, revision_of, take_turn, translated
from jobstream.views.db_tables import REVISION
from jobstream.views.errors import DatabaseRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine

SCRIPTS = Path(__file__).parent / "migrations"


def make_folder(url: str) -> None:
    """Make the folder of a database that is a file; raises DatabaseRefused where it can't be."""
    made = parsed_url(url)
    if made.get_backend_name() != "sqlite":
        return
    folder = Path(made.database or "").parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder} can't be made: {error.strerror or error}; choose another --database"
        raise DatabaseRefused(message) from error


def migrate(engine: Engine, revision: str = REVISION) -> tuple[str | None, str]:
    """Make or alter the tables; returns the versions before and after.

    Blocks for as long as that takes: a step may copy a table. Does nothing where they are right.
    Raises DatabaseNewer for tables of a newer version, DatabaseAway where the database is not
    there.
    """
    before = revision_of(engine)
    if before is not None and before > REVISION:
        check_revision(engine)
    if before == revision:
        return before, revision
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with translated(), engine.begin() as connection:
        take_turn(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return before, revision
