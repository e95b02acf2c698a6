"""What a projection does beside folding: it looks at ends, members and topics, and forgets.

One thread. A look that fails is logged, counted, and made again; folding goes on meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select, update

from jobstream.topics.names import Kind, delay_group, schedule_group, worker_group
from jobstream.views.database import own_turn, translated
from jobstream.views.db_tables import places, workers
from jobstream.views.left_behind import close_places, forget_letters, leave_topics
from jobstream.views.owner import check_owner
from jobstream.views.stored_text import indexed
from jobstream.views.tables_built import built
from jobstream.views.troubles import Part
from jobstream.views.upserts import upsert
from jobstream.views.views_retention import delete_old

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.views.projection import Projection, TopicsNow
    from jobstream.views.views_retention import Keep
    from jobstream_processors.ports import TopicPartition

log = logging.getLogger("jobstream.views")

EVERY_S = 2.0
MEMBERS_EVERY = 5
"""Looks between two at members and topics: ten seconds."""
FORGET_MS = 300_000
"""After so long a member that the brokers do not list is forgotten."""


class Upkeep:
    """The looks of one instance."""

    def __init__(self, projection: Projection, keep: Keep, changed: Callable[[], None]) -> None:
        """`changed` is called when other topics, or tables, are there than those that are read."""
        self._projection = projection
        self._keep = keep
        self._changed = changed
        self._closing = threading.Event()
        self.reads: TopicsNow | None = None
        """What is read here; None before the first agents start."""
        self._ids: dict[str, str] = {}
        self._missing: set[str] = set()
        self._left: set[str] = set()
        """Topics by their ids: not to be found at the last comparison; given up."""
        self._lows: dict[TopicPartition, int] = {}
        """(topic id, partition) of dead letters → where it began at the last look."""
        self._looks = 0
        self.failures = 0
        self.behind_records = 0
        self._behind_s = 0.0
        self.looked_mono = time.monotonic()
        """When the last look ended that saw all."""
        self.came_mono = self.looked_mono
        """When the last look ended, however: a thread that comes round is alive."""
        self.quiet_s = 5 * EVERY_S
        """A look that is older tells nothing of now."""

    def run(self) -> None:
        """Look until closed."""
        while not self._closing.wait(EVERY_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look tries again
                self.failures += 1
                self._projection.troubles.meet(Part.LOOKING, error)
                log.warning(
                    "views_look_failed", extra={"reason": f"{type(error).__name__}: {error}"}
                )
            else:
                self._projection.troubles.over(Part.LOOKING)
            self.came_mono = time.monotonic()

    @property
    def behind_s(self) -> float:
        """How old the answers are: as the last good look found, and older since if it is long ago.

        What came since is not known.
        """
        silent_s = time.monotonic() - self.looked_mono
        return self._behind_s + (silent_s if silent_s > self.quiet_s else 0.0)

    def close(self) -> None:
        """Let `run` end after the look it is in."""
        self._closing.set()

    def look(self) -> None:
        """Once; raises DatabaseTaken before it changes anything of another app's tables."""
        with translated(), self._projection.engine.connect() as connection:
            check_owner(connection, self._projection.view.app)
        if self._looks % MEMBERS_EVERY == 0:
            self._compare_topics()
            self._members()
        self._looks += 1
        self._ends()
        deleted = delete_old(self._projection.engine, self._keep, _now_ms())
        if deleted:
            log.info("views_old_jobs_deleted", extra={"jobs": deleted})
        self.looked_mono = time.monotonic()

    def _compare_topics(self) -> None:
        # Before the cluster is asked: a topic that comes in between must not be taken for gone.
        stored = self._stored()
        found = self._projection.topics_now()
        # With what is read, and not with the look before: a topic may come before the first one.
        if self.reads is not None and found != self.reads:
            log.info("views_topics_changed")
            self._changed()
        self._ids = found.ids
        self._leave_topics(stored)

    def _stored(self) -> dict[str, str]:
        """Topic id → topic, of every place that is stored."""
        with translated(), self._projection.engine.connect() as connection:
            rows = connection.execute(select(places.c.topic_id, places.c.topic).distinct())
            return {row.topic_id: row.topic for row in rows}

    def _leave_topics(self, stored: dict[str, str]) -> None:
        """Give up what is gone for two looks: brokers do not learn of a topic all at once."""
        view = self._projection.view
        there = view.cluster.ids_there(view.counts.keys() & stored.values())
        missing = stored.keys() - there.values()
        gone = (missing & self._missing) - self._left
        if gone:
            with own_turn(self._projection.engine) as connection:
                for topic in leave_topics(connection, gone, _now_ms()):
                    log.warning("views_topic_gone", extra={"topic": topic})
        self._missing, self._left = missing, (self._left | gone) & missing

    def _ends(self) -> None:
        """Write how far the log goes now, so that readers know how old the answers are."""
        # A topic that is gone, or was made anew since, has no end to ask for.
        held = {
            at: where
            for at, where in self._projection.held.items()
            if self._ids.get(where.topic) == where.topic_id
        }
        asked_ms = _now_ms()
        # One that was deleted since is left out, and the others are told all the same.
        spans = self._projection.view.cluster.spans_there(held)
        held = {at: where for at, where in held.items() if at in spans}
        rows = [
            {"its_id": where.topic_id, "its_number": where.partition, "its_end": spans[at][1]}
            for at, where in held.items()
        ]
        if not rows:
            return
        risen = {
            at: low
            for at, where in held.items()
            if where.kind == Kind.DLQ
            and (low := spans[at][0]) > self._lows.get((where.topic_id, where.partition), 0)
        }
        mine = (
            places.c.topic_id == bindparam("its_id"),
            places.c.partition == bindparam("its_number"),
        )
        change = update(places).where(*mine)
        change = change.values(end=bindparam("its_end"), checked_ms=asked_ms)
        with own_turn(self._projection.engine) as connection:
            connection.execute(change.where(places.c.checked_ms <= asked_ms), rows)
            close_places(connection, set(self._ids.values()), asked_ms)
            forgotten = forget_letters(connection, risen)
            now = connection.execute(select(places)).all()
            mark = built(connection)
        if self._projection.built not in {None, mark}:
            log.info("views_tables_rebuilt")
            self._changed()
        self._lows |= {(held[at].topic_id, held[at].partition): low for at, low in risen.items()}
        if forgotten:
            log.info("views_old_letters_forgotten", extra={"letters": forgotten})
        behind = [row for row in now if row.next < row.end]
        self.behind_records = sum(row.end - row.next for row in behind)
        oldest = min((row.record_ms or asked_ms for row in behind), default=asked_ms)
        self._behind_s = max(0.0, (asked_ms - oldest) / 1000)

    def _members(self) -> None:
        app = self._projection.view.app
        groups = [worker_group(app), delay_group(app), schedule_group(app)]
        found = self._projection.view.cluster.memberships(groups)
        now_ms = _now_ms()
        rows = [
            {
                "member": indexed(f"{group}:{member.name}"),
                "group": group,
                "client": member.name.rpartition("@")[0],
                "host": member.name.rpartition("@")[2].removeprefix("/"),
                "partitions": member.partitions,
                "seen_ms": now_ms,
            }
            for group, members in found.items()
            for member in members
        ]
        with own_turn(self._projection.engine) as connection:
            upsert(connection, workers, rows)
            connection.execute(delete(workers).where(workers.c.seen_ms < now_ms - FORGET_MS))


def _now_ms() -> int:
    return int(time.time() * 1000)
