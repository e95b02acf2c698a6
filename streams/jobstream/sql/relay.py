"""The role `relay`: publishes committed rows of an app's outbox until it is asked to leave.

A row is deleted once Kafka has acknowledged its job, and not before: a relay that dies in between
leaves it to the next one, which publishes the same job again, and its id makes that one job.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from jobstream.sql.database_url import shown
from jobstream.sql.one_relay import OneRelay
from jobstream.sql.outbox_rows import OutboxState
from jobstream.sql.row_sending import BrokerAway
from jobstream.sql.sweeping import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Engine

    from jobstream.sql.outbox_rows import OutboxRows
    from jobstream.sql.row_sending import RowSender, RowsSent

log = logging.getLogger("jobstream.relay")

IDLE_S = 0.05
"""How long it sleeps where no row waits: half of it, on average, is added to a job's way."""
STAND_BY_S = 0.5
STANDS_BY = "another relay of the app works on this SQLite file"
IN_TURN_S = 5.0
"""How long a turn keeps its transaction open for acknowledgements."""
LOOK_S = 2.0
SWEEP_S = 60.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 10.0


class Relay:
    """One relay. `run` belongs to one thread; `close` and what is told of it to any."""

    def __init__(
        self, engine: Engine, rows: OutboxRows, sender: RowSender, lives_ms: Mapping[str, int]
    ) -> None:
        """`lives_ms` says by queue topic how long marks of the inbox live."""
        self._engine = engine
        self._rows = rows
        self._right = OneRelay(engine, rows.app)
        self._sender = sender
        self._lives_ms = lives_ms
        self._closing = threading.Event()
        self._pause_s = 0.0
        self._unstored: tuple[Sequence[int], Mapping[int, str]] = ([], {})
        self._looked_s = self._swept_s = -SWEEP_S
        self.seen = OutboxState(0, 0.0, 0)
        """At the last look."""
        self.seen_mono = self.round_mono = time.monotonic()
        self.published = self.set_aside = self.failed = self.swept = 0
        self.trouble = "it has not begun"
        """Why nothing is published just now; "" while all is well."""
        self.started = False

    def run(self, ready: Callable[[], object] | None = None) -> None:
        """Publish until closed. Raises TablesMissing at the start."""
        while not self._closing.is_set():
            self.round_mono = time.monotonic()
            try:
                if not self.started:
                    self._rows.prepare()
                    self.started = True
                    if ready is not None:
                        ready()
                self._look()
                if not self._right.is_mine():
                    self.trouble = STANDS_BY
                    self._closing.wait(STAND_BY_S)
                    continue
                moved = self._turn()
            except (SQLAlchemyError, BrokerAway) as error:
                self._rest(error)
                continue
            self.trouble, self._pause_s = "", 0.0
            if not moved and self._rows.saw_all:
                self._closing.wait(IDLE_S)
        self._right.close()

    def close(self) -> None:
        """Let `run` return soon; rows that are not acknowledged by then stay."""
        self._closing.set()

    @property
    def oldest_s(self) -> float:
        """Age of the oldest row that waits; goes on while it can not look."""
        silent_s = time.monotonic() - self.seen_mono
        if not self.seen.rows and self.started:
            return max(0.0, silent_s - 2 * LOOK_S)
        return self.seen.oldest_s + silent_s

    @property
    def held(self) -> Mapping[str, str]:
        """Topics that take nothing just now, and why."""
        return dict(self._sender.held.reasons)

    def _turn(self) -> int:
        """Publish the next rows; returns how many there were."""
        self._store_again()
        with self._rows.turn(self._sender.types, self._sender.held.now()) as taken:
            if not taken.rows:
                return 0
            handed = self._sender.send(taken.rows)
            count = len(taken.rows)
            if self._sender.is_told(handed, IN_TURN_S):
                taken.gone, taken.refused = handed.gone or [], handed.refused
                self._unstored = (taken.gone, taken.refused)
        self._unstored = ([], {})
        if handed.gone is None:
            self._outwait(handed)
            self._unstored = (handed.gone or [], handed.refused)
            self._store_again()
        self._count(handed)
        return count

    def _store_again(self) -> None:
        """Store what a database did not take before: such rows do not go to Kafka again."""
        gone, refused = self._unstored
        if gone or refused:
            self._rows.store(gone, refused)
            self._unstored = ([], {})

    def _outwait(self, handed: RowsSent) -> None:
        """Wait for every answer, outside of the transaction, before any other row is published.

        So what one relay sends of a partition has no gaps, and a later row of a key can't come
        before an earlier one of it.
        """
        self.trouble = "no acknowledgement from Kafka"
        log.warning("outbox_unacknowledged", extra={"rows": len(handed.rows)})
        while not self._closing.is_set() and not self._sender.is_told(handed, 0.5):
            self.round_mono = time.monotonic()
            self._look()

    def _count(self, handed: RowsSent) -> None:
        gone = len(handed.gone or [])
        self.published += gone
        self.set_aside += len(handed.refused)
        self.failed += len(handed.rows) - gone
        for n, reason in handed.refused.items():
            log.error("outbox_row_set_aside", extra={"row": n, "reason": reason})

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self.seen = self._rows.waiting()
            self.seen_mono = time.monotonic()
        if now_s - self._swept_s >= SWEEP_S:
            self._swept_s = now_s
            self.swept += sweep(self._engine, self._lives_ms)

    def _rest(self, error: Exception) -> None:
        text = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
        at = f" at {shown(self._engine.url)}" if isinstance(error, SQLAlchemyError) else ""
        self.trouble = f"{type(error).__name__}{at}: {text}"
        self._pause_s = min(PAUSE_S_MAX, max(PAUSE_S_MIN, self._pause_s * 2))
        log.warning("relay_rests", extra={"reason": self.trouble, "again_s": self._pause_s})
        self._closing.wait(self._pause_s)
