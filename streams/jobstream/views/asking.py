"""Asks the database: read-only, within a time limit, each question in a transaction of its own."""

from __future__ import annotations

import base64
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobstream.views.database import limit_time, translated
from jobstream.views.errors import ViewsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_STEPS = 20_000
"""Of SQLite's machine between two looks at the clock: a few milliseconds."""


class BadCursor(ViewsError):
    """`after` is none of ours; begin without it."""


@contextmanager
def asking(engine: Engine, seconds: float) -> Iterator[Connection]:
    """A connection whose statements end within so long, or raise TooSlow; DatabaseAway as well."""
    with translated(), engine.connect() as connection, connection.begin():
        if connection.dialect.name != "sqlite":
            limit_time(connection, seconds)
            yield connection
            return
        raw: Any = connection.connection.driver_connection
        until = time.monotonic() + seconds
        raw.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        try:
            yield connection
        finally:
            raw.set_progress_handler(None, 0)


def cursor_of(*place: int | str) -> str:
    """A place in an order, as text that a client hands back."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_in(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """What `cursor_of` wrote, None for none; raises BadCursor."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found = json.loads(raw)
        if isinstance(found, list) and [type(each) for each in found] == list(kinds):
            return tuple(found)
    except (ValueError, RecursionError):
        pass
    message = f"after={cursor[:80]!r} is no place to go on from: leave it out to begin anew"
    raise BadCursor(message)
