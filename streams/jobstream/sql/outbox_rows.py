"""Takes rows of the outbox in turns with other relays, and lets go of those that are published.

In PostgreSQL a relay locks some lanes while it publishes their rows, in one transaction, and skips
lanes that are locked: rows of one order key are of one lane, so they are published in their order.
The lock ends with the transaction, so also with the relay or its connection. In SQLite one relay of
an app works at a time, and none holds a transaction while it waits for Kafka.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    bindparam,
    cast,
    delete,
    func,
    or_,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import NullType

from jobstream.sql.database_clock import now_ms
from jobstream.sql.database_url import shown
from jobstream.sql.handles import naming_the_remedy
from jobstream.sql.job_rows import LANES
from jobstream.sql.opening import writing
from jobstream.sql.row_records import COLUMNS
from jobstream.sql.schema import outbox, outbox_lanes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine, Row

ROWS_MAX = 2_000
"""Rows of one turn."""
BYTES_MAX = 16_777_216
"""Of one turn, as long as it has more than one row."""
LANES_AT_ONCE = 4
"""Of a turn while there is much to do, so that four relays may work at a time."""
MUCH = ROWS_MAX // 4
"""So many rows of a turn are much: with fewer, the next one takes every lane that is free."""
FROZEN_S = 60
"""A relay that stands still in a transaction loses it, and its lanes, after so long."""
UNKNOWN_MS = 600_000
"""How long a row waits for a relay whose code knows its job type: a deploy takes its time."""
COUNTED_MAX = 100_000
ERROR_CHARS_MAX = 1_000
_COLUMNS = [
    # As the driver gives it: one value of another type must not break the reading of all rows.
    type_coerce(outbox.c[name], NullType()).label(name)
    for name in ("n", *COLUMNS)
]


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What is in the outbox."""

    rows: int
    """That wait, counted up to 100,000."""
    oldest_s: float
    """Age of the oldest of them by the database's clock; 0 without any."""
    set_aside: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that can't be published as it is."""

    n: int
    job_id: str
    job_type: str
    topic: str
    since_ms: int
    error: str


class Turn:
    """The rows of one turn, in their order, while the block of `OutboxRows.turn` lasts."""

    def __init__(self, rows: Sequence[Row[Any]]) -> None:
        self.rows = rows
        self.gone: list[int] = []
        """To be deleted: Kafka has acknowledged them."""
        self.refused: dict[int, str] = {}
        """To be set aside, with the reason."""


class OutboxRows:
    """The outbox of one app. Belongs to one thread."""

    def __init__(self, engine: Engine, app: str) -> None:
        self._engine = engine
        self.app = app
        self._has_lanes = engine.dialect.name == "postgresql"
        self._next_lane = 0
        self._at_once = LANES_AT_ONCE
        self.saw_all = False
        """Whether the last turn took every lane that was free."""

    def prepare(self) -> None:
        """Look whether the tables are there, and make what lanes are locked by.

        Raises TablesMissing, and what the database raises.
        """
        with naming_the_remedy(shown(self._engine.url)), self._engine.begin() as connection:
            connection.execute(select(outbox.c.n).limit(1))
            if self._has_lanes:
                lanes = [{"app": self.app, "lane": lane} for lane in range(LANES)]
                connection.execute(insert(outbox_lanes).on_conflict_do_nothing(), lanes)

    @contextmanager
    def turn(self, types: Collection[str], held_topics: Collection[str]) -> Iterator[Turn]:
        """The next rows. What the block finds out of them is stored behind it.

        Rows of `held_topics` are left, and so are those of other types than these, for a while.
        """
        self.saw_all = not self._has_lanes or self._at_once == LANES
        if not self._has_lanes:
            with self._engine.begin() as connection:
                taken = Turn(self._rows(connection, [], types, held_topics))
            yield taken
            self.store(taken.gone, taken.refused)
            return
        with self._engine.begin() as connection:
            lanes = self._locked(connection)
            taken = Turn(self._rows(connection, lanes, types, held_topics) if lanes else [])
            self._at_once = LANES_AT_ONCE if len(taken.rows) >= MUCH else LANES
            yield taken
            _store(connection, taken.gone, taken.refused)

    def store(self, gone: Sequence[int], refused: Mapping[int, str]) -> None:
        """Delete rows that are published and set others aside, in a transaction of its own."""
        if gone or refused:
            with writing(self._engine) as connection:
                _store(connection, gone, refused)

    def waiting(self) -> OutboxState:
        """Look at what is there; costs a walk over at most 100,000 entries of an index."""
        mine = outbox.c.app == self.app
        waits = outbox.c.set_aside_ms.is_(None)
        written_ms = cast(outbox.c.written_ms, BigInteger)
        first = select(written_ms).where(mine, waits).order_by(outbox.c.n).limit(1)
        with naming_the_remedy(shown(self._engine.url)), self._engine.begin() as connection:
            oldest_ms, clock_ms = connection.execute(
                select(first.scalar_subquery(), now_ms())
            ).one()
            some = select(outbox.c.n).where(mine, waits).limit(COUNTED_MAX).subquery()
            rows = connection.execute(select(func.count()).select_from(some)).scalar_one()
            aside = connection.execute(
                select(func.count()).select_from(outbox).where(mine, ~waits)
            ).scalar_one()
        age_ms = 0 if oldest_ms is None else max(0, clock_ms - oldest_ms)
        return OutboxState(rows, age_ms / 1000, aside)

    def set_aside(self, limit: int = 100) -> list[SetAside]:
        """Rows that were set aside, oldest first."""
        columns = ("n", "job_id", "job_type", "topic", "set_aside_ms", "error")
        wanted = (
            select(*(outbox.c[name] for name in columns))
            .where(outbox.c.app == self.app, outbox.c.set_aside_ms.is_not(None))
            .order_by(outbox.c.n)
            .limit(limit)
        )
        with naming_the_remedy(shown(self._engine.url)), self._engine.begin() as connection:
            rows = connection.execute(wanted).all()
        return [
            SetAside(n, _shown(job_id), _shown(job_type), _shown(topic), since_ms, error)
            for n, job_id, job_type, topic, since_ms, error in rows
        ]

    def retry(self, rows: Collection[int] | None) -> int:
        """Let rows that were set aside wait again; all if None. Returns how many."""
        again = (
            update(outbox)
            .where(outbox.c.app == self.app, outbox.c.set_aside_ms.is_not(None))
            .values(set_aside_ms=None, error=None, written_ms=now_ms())
        )
        if rows is not None:
            again = again.where(outbox.c.n.in_(rows))
        with naming_the_remedy(shown(self._engine.url)), writing(self._engine) as connection:
            return connection.execute(again).rowcount

    def _locked(self, connection: Connection) -> list[int]:
        """Lanes that are this relay's until the transaction ends: those whose turn it is, if free.

        They are locked before their rows are read, by a statement of its own: so what another relay
        has deleted is gone by then.
        """
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{FROZEN_S}s'"))
        turned = (outbox_lanes.c.lane + (LANES - self._next_lane)) % LANES
        self._next_lane = (self._next_lane + self._at_once) % LANES
        wanted = (
            select(outbox_lanes.c.lane)
            .where(outbox_lanes.c.app == self.app)
            .order_by(turned)
            .limit(self._at_once)
            .with_for_update(skip_locked=True)
        )
        return list(connection.execute(wanted).scalars())

    def _rows(
        self,
        connection: Connection,
        lanes: Sequence[int],
        types: Collection[str],
        held_topics: Collection[str],
    ) -> Sequence[Row[Any]]:
        known: ColumnElement[bool] = outbox.c.job_type.in_(types)
        wanted = (
            select(*_COLUMNS, func.sum(func.length(outbox.c.value)).over(order_by=outbox.c.n))
            .where(outbox.c.app == self.app, outbox.c.set_aside_ms.is_(None))
            .where(or_(known, outbox.c.written_ms < now_ms() - UNKNOWN_MS))
            .order_by(outbox.c.n)
            .limit(ROWS_MAX)
        )
        if lanes:
            wanted = wanted.where(outbox.c.lane.in_(lanes))
        if held_topics:
            wanted = wanted.where(outbox.c.topic.not_in(held_topics))
        sized = wanted.subquery()
        so_far = list(sized.c)[-1]
        within = or_(so_far - func.length(sized.c.value) == 0, so_far <= BYTES_MAX)
        kept = select(*(sized.c[each.name] for each in _COLUMNS)).where(within).order_by(sized.c.n)
        return connection.execute(kept).all()


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _store(connection: Connection, gone: Sequence[int], refused: Mapping[int, str]) -> None:
    if gone and connection.dialect.name == "postgresql":
        # One parameter: thousands of them take longer to write down than to delete by.
        connection.execute(
            text("DELETE FROM jobstream_outbox WHERE n = ANY(:gone)"), {"gone": gone}
        )
    elif gone:
        each = delete(outbox).where(outbox.c.n == bindparam("gone"))
        connection.execute(each, [{"gone": n} for n in gone])
    for n, reason in refused.items():
        aside = update(outbox).where(outbox.c.n == n)
        said = reason[:ERROR_CHARS_MAX]
        connection.execute(aside.values(set_aside_ms=now_ms(), error=said))
