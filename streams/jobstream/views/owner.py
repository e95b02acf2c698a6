"""Whose tables these are: one app's. Two would count each other's jobs, and delete as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from jobstream.sql.database_url import shown
from jobstream.views.db_tables import meta
from jobstream.views.errors import DatabaseTaken
from jobstream.views.upserts import insert_new

if TYPE_CHECKING:
    from sqlalchemy import Connection

OWNER = "app"


def claim(connection: Connection, app: str) -> None:
    """Make tables that are nobody's the app's; raises DatabaseTaken where they are another's."""
    insert_new(connection, meta, [{"name": OWNER, "value": app}])
    check_owner(connection, app)


def check_owner(connection: Connection, app: str) -> None:
    """Raise DatabaseTaken where the tables are another app's."""
    found = connection.execute(select(meta.c.value).where(meta.c.name == OWNER)).scalar()
    if found is None or found == app:
        return
    message = (
        f"{shown(connection.engine.url)} has the jobs of app {found!r}, not of {app!r}: give "
        f"{app!r} a database of its own, or a schema, as in "
        "postgresql://host/name?options=-csearch_path%3DSCHEMA"
    )
    raise DatabaseTaken(message)
