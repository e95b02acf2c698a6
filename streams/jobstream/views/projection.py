"""Where an app's projection stands: the topics it folds, its database, and the places in both.

The agents hand it runs; the thread that reads asks it where to begin; upkeep asks it what to look
after. All positions are the database's.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from jobstream.topics.names import Kind, parse
from jobstream.views.changes import Where
from jobstream.views.database import own_turn
from jobstream.views.db_tables import gaps, meta, places
from jobstream.views.errors import NotSeen
from jobstream.views.left_behind import ALL, come_back, forget_letters
from jobstream.views.owner import claim
from jobstream.views.record_fold import Fold
from jobstream.views.tables_built import built
from jobstream.views.troubles import Part, Troubles
from jobstream.views.upserts import chunks, insert_new, upsert
from jobstream.views.writing import Writer, stored_places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from jobstream.operate.view import AppView
    from jobstream.views.batch import Run, Written
    from jobstream.views.errors import ViewsError
    from jobstream_processors.ports import TopicPartition

log = logging.getLogger("jobstream.views")

FOLDED = frozenset(
    (Kind.QUEUE, Kind.RUNG, Kind.DLQ, Kind.DEDUP, Kind.CONTROL, Kind.SCHEDULES, Kind.OFFSETS)
)
RETAINED, ANEW, SHORT = (
    "retention passed what was not folded yet",
    "the topic was made anew; what the old one told is still here, but for what was not folded yet",
    "the log ends before what was folded; it is folded anew from its start",
)
BEFORE_US = "jobs whose records retention had deleted before the projection began are not in here"


class TopicsNow(NamedTuple):
    """The topics that are folded, as the cluster has them at a moment."""

    by_kind: Mapping[str, list[str]]
    ids: dict[str, str]
    """A topic that is made anew has another."""


class Projection:
    """One app's tables, fed by any number of instances. Safe to use from several threads."""

    def __init__(self, view: AppView, engine: Engine) -> None:
        self.view = view
        self.engine = engine
        self.stopping = False
        self._learning = threading.Lock()
        self._writer = Writer(engine, Fold(view.catalogue, self._learn), view.app)
        self._ids: dict[str, str] = {}
        self._held: dict[TopicPartition, Where] = {}
        self.folded = 0
        """Records, by this instance."""
        self.batches = 0
        self.write_s = 0.0
        self.newest_ms = 0
        self.troubles = Troubles()
        self.built: str | None = None
        """The mark of the tables in which the partitions began; None: none has begun."""

    def topics(self) -> dict[str, list[str]]:
        """Kind → the app's topics that are folded, as they are now; asks the cluster."""
        self.view.look_again()
        queues = {queue.name for queue in self.view.queues()}
        found: dict[str, list[str]] = {}
        for topic in sorted(self.view.counts):
            named = parse(topic)
            if named is None or named.app != self.view.app or named.kind not in FOLDED:
                continue
            if not named.queue or named.queue in queues:
                found.setdefault(str(named.kind), []).append(topic)
        return found

    def topics_now(self) -> TopicsNow:
        """Those, and by which ids the cluster knows them."""
        by_kind = self.topics()
        names = (name for names in by_kind.values() for name in names)
        return TopicsNow(by_kind, self.view.cluster.topic_ids(names))

    # -- what the reading thread asks

    def starts(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[Where, int]]:
        """Where each partition goes on; those without a place begin at the log's start.

        Left out are those that the cluster does not have, or does not show yet.
        """
        ids = self.view.cluster.ids_there({topic for topic, _ in wanted})
        spans = self.view.cluster.spans_there(at for at in wanted if at[0] in ids)
        self._ids |= ids
        found: dict[TopicPartition, tuple[Where, int]] = {}
        wheres = {at: self._where(at) for at in spans}
        topics = {topic for topic, _ in wheres}
        with own_turn(self.engine) as connection:
            claim(connection, self.view.app)
            if self.built is None:
                self.built = built(connection)
            come_back(connection, topics)
            stored = stored_places(connection, {where.topic_id for where in wheres.values()})
            known = stored_places_of(connection, topics)
            for at, where in wheres.items():
                row = stored.get((where.topic_id, where.partition))
                low, high = spans[at]
                if row is None:
                    self._begin(connection, where, low, high, is_anew=at in known)
                    found[at] = where, low
                elif not low <= row.next <= high:
                    found[at] = where, self._skip(connection, where, row.next, low)
                else:
                    found[at] = where, row.next
        self._held |= wheres
        return found

    def out_of_log(self, place: TopicPartition) -> int:
        """Where it goes on; the topic may be another by now. Raises NotSeen where there is none."""
        found = self.starts([place])
        if place not in found:
            raise NotSeen([place])
        return found[place][1]

    def waits_to_begin(self, error: Exception) -> None:
        """Partitions are assigned to this instance and can't be begun; they are not read."""
        if self.troubles.meet(Part.BEGINNING, error):
            log.warning("views_start_waits", extra={"reason": str(error)})

    def has_begun(self) -> None:
        """Every partition that is assigned is read."""
        self.troubles.over(Part.BEGINNING)

    def _where(self, place: TopicPartition) -> Where:
        named = parse(place[0])
        assert named is not None, "only topics of ours are subscribed to"  # noqa: S101
        return Where(*place, self._ids[place[0]], str(named.kind), named.queue, named.rung)

    def _begin(
        self, connection: Connection, where: Where, low: int, high: int, *, is_anew: bool
    ) -> None:
        row = {
            "topic_id": where.topic_id, "partition": where.partition, "topic": where.topic,
            "next": low, "record_ms": 0, "end": high, "checked_ms": _now_ms(),
        }  # fmt: skip
        insert_new(connection, places, [row])
        if is_anew:
            log.warning("views_topic_made_anew", extra={"topic": where.topic})
            self._note(connection, where, ANEW, 0)
            # Letters of the old topic can't be redriven, and keys of the new one may be the same.
            forget_letters(connection, {(where.topic, where.partition): ALL})
        elif low > 0 and where.kind == Kind.QUEUE:
            insert_new(connection, meta, [{"name": "incomplete", "value": BEFORE_US}])

    def _skip(self, connection: Connection, where: Where, at: int, low: int) -> int:
        reason, lost = (RETAINED, low - at) if at < low else (SHORT, 0)
        extra = {"topic": where.topic, "partition": where.partition, "records": lost}
        log.error("views_gap", extra={"reason": reason, **extra})
        self._note(connection, where, reason, lost)
        connection.execute(
            places.update()
            .where(places.c.topic_id == where.topic_id, places.c.partition == where.partition)
            .values(next=low)
        )
        return low

    @staticmethod
    def _note(connection: Connection, where: Where, reason: str, records: int) -> None:
        row = {
            "topic": where.topic, "partition": where.partition, "topic_id": where.topic_id,
            "reason": reason, "records": records, "at_ms": _now_ms(),
        }  # fmt: skip
        upsert(connection, gaps, [row], add=("records",))

    # -- what agents hand over

    def write(self, runs: Sequence[Run]) -> Written:
        """Fold and store; blocks until it is committed. Raises DatabaseAway."""
        began = time.monotonic()
        written = self._writer.write(runs)
        self.write_s += time.monotonic() - began
        self.folded += written.records
        self.batches += 1
        self.newest_ms = max(self.newest_ms, written.newest_ms)
        if self.troubles.over(Part.STORING):
            log.info("views_database_back")
        return written

    def waits_for_database(self, error: ViewsError) -> None:
        """The database does not take part; said once."""
        if self.troubles.meet(Part.STORING, error):
            log.warning("views_database_away", extra={"reason": str(error)})

    @property
    def trouble(self) -> str:
        """Why it does not go on; "" if all is well."""
        return self.troubles.why

    def _learn(self) -> None:
        """Read the schemas that came since: a record names one that is not known."""
        with self._learning:
            self.view.look_again()

    @property
    def held(self) -> Mapping[TopicPartition, Where]:
        """Partitions that this instance was given, also those that it gave back since."""
        return dict(self._held)


def stored_places_of(connection: Connection, topics: set[str]) -> set[TopicPartition]:
    """(topic, partition) of every place that is stored, of whichever incarnation."""
    found: set[TopicPartition] = set()
    for some in chunks(sorted(topics)):
        query = select(places.c.topic, places.c.partition).where(places.c.topic.in_(some))
        found |= {(row.topic, row.partition) for row in connection.execute(query)}
    return found


def _now_ms() -> int:
    return int(time.time() * 1000)
