"""Which tables these are: a rebuild puts others in place under the projections that run.

Those have read further than the new tables know, and would go back only with the next record of a
partition, which may never come. So each of them asks anew where its partitions go on.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlalchemy import select

from jobstream.views.database import own_turn
from jobstream.views.db_tables import meta
from jobstream.views.upserts import upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

BUILT = "built"


def mark_built(engine: Engine) -> None:
    """Give the tables a mark that no others have."""
    with own_turn(engine) as connection:
        upsert(connection, meta, [{"name": BUILT, "value": uuid.uuid4().hex}])


def built(connection: Connection) -> str:
    """The mark of the tables; "" of those that no rebuild made."""
    found = connection.execute(select(meta.c.value).where(meta.c.name == BUILT)).scalar()
    return found or ""
