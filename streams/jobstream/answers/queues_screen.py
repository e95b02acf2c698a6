"""Queues: how far behind each is, what waits there by type and reason, and what holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NoSuch
from jobstream.control_listing import ControlEntry, shown
from jobstream.operate.near_names import close_first, listed
from jobstream.topics.names import delay_group, worker_group
from jobstream_processors.core.orders import CANCEL, DRAIN, PAUSE_QUEUE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.answers.app_site import Site
    from jobstream.answers.shared_look import Taken
    from jobstream.operate.sight import PartitionLag

PARTITIONS_MAX = 2_000
"""Rows of one queue's answer; the counts are of all."""
NAMES_MAX = 20
SLO_MS = 300_000
"""Of a queue whose declaration is not known here: the default of one that declares none."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A consumer group: its members, and how many of them have no partition."""

    name: str
    members: int
    idle: int


@dataclass(frozen=True, slots=True)
class RungRow:
    """What waits on one rung of a queue's delay ladder, on purpose."""

    rung: str
    jobs: int
    oldest_s: float
    overdue_s: float
    """By how much the first is late; 0 if it is not."""


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """One partition of the queue, or of one of its rungs."""

    rung: str
    """Empty for the queue itself."""
    partition: int
    position: int
    """The offset at which the group goes on."""
    end: int
    lag: int
    oldest_s: float
    overdue_s: float


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue at a glance."""

    name: str
    lag: int
    """Records on the queue that are not finished; what waits on its ladder is not counted."""
    oldest_s: float
    """For how long the oldest of them has been there."""
    overdue_s: float
    """Of the worst partition, rungs included."""
    slo_s: float
    """What the queue promises: no job is to be overdue for longer."""
    is_late: bool
    """Whether it breaks that promise now."""
    on_ladder: int
    """Jobs that wait on its ladder: delayed, retried, or for their turn."""
    letters: int
    """Open dead letters."""
    letters_oldest_s: float
    paused: ControlEntry | None
    """The order that pauses it, if one is in force."""
    types: Mapping[str, float]
    """Job type → about how many wait on the queue, by a sample."""
    waits: Mapping[str, float]
    """Reason → about how many wait on the ladder for that, by a sample."""


@dataclass(frozen=True, slots=True)
class QueuesAnswer:
    """Every queue, the latest first."""

    as_of: AsOf
    queues: tuple[QueueRow, ...]
    workers: GroupRow
    delayers: GroupRow


@dataclass(frozen=True, slots=True)
class QueueAnswer:
    """One queue with its rungs and partitions."""

    as_of: AsOf
    queue: QueueRow
    rungs: tuple[RungRow, ...]
    partitions: tuple[PartitionRow, ...]
    partitions_left_out: int
    orders: tuple[ControlEntry, ...]
    """Everything in force that may hold jobs of it, oldest first."""
    workers: GroupRow
    delayers: GroupRow


def queues(site: Site) -> QueuesAnswer:
    """Every queue of the app; blocks for the first look alone. Raises SourceAway and NoSuch."""
    taken, told = site.look.now()
    rows = queue_rows(site, taken)
    return QueuesAnswer(told, rows, *groups(site, taken))


def queue(site: Site, name: str) -> QueueAnswer:
    """One queue; raises NoSuch, naming those there are."""
    taken, told = site.look.now()
    if name not in taken.sight.queues:
        there = listed(close_first(name, taken.sight.queues), NAMES_MAX) or "none"
        message = f"app {site.name!r} has no queue {name!r:.100}; it has: {there}"
        raise NoSuch(message)
    rows = taken.by_queue.get(name, ())
    shown_rows = sorted(rows, key=lambda row: (-row.overdue_s, row.rung, row.standing.place[1]))
    return QueueAnswer(
        as_of=told,
        queue=_row(site, taken, name),
        rungs=_rungs(rows),
        partitions=tuple(_partition(row) for row in shown_rows[:PARTITIONS_MAX]),
        partitions_left_out=max(0, len(rows) - PARTITIONS_MAX),
        orders=tuple(
            shown(order)
            for order in taken.orders
            if order.kind not in {CANCEL, DRAIN}
            and (order.kind != PAUSE_QUEUE or order.subject == name)
        ),
        workers=groups(site, taken)[0],
        delayers=groups(site, taken)[1],
    )


def queue_rows(site: Site, taken: Taken) -> tuple[QueueRow, ...]:
    """A row for each queue: those that break their promise first, then by how late they are."""
    rows = [_row(site, taken, name) for name in taken.sight.queues]
    rows.sort(key=lambda row: (not row.is_late, -row.overdue_s / row.slo_s, -row.lag, row.name))
    return tuple(rows)


def groups(site: Site, taken: Taken) -> tuple[GroupRow, GroupRow]:
    """The group of the workers, and that of the delayers."""
    found = []
    for name in (worker_group(site.name), delay_group(site.name)):
        size = taken.sight.groups.get(name)
        found.append(GroupRow(name, size.members if size else 0, size.idle if size else 0))
    return found[0], found[1]


def _row(site: Site, taken: Taken, name: str) -> QueueRow:
    sight = taken.sight
    rows = taken.by_queue.get(name, ())
    main = [row for row in rows if not row.rung]
    overdue_s = max((row.overdue_s for row in rows), default=0.0)
    declared = site.app.queues.get(name)
    slo_s = (declared.slo_ms if declared is not None else SLO_MS) / 1000
    letters = sight.letters.get(name)
    pauses = (o for o in taken.orders if o.kind == PAUSE_QUEUE and o.subject == name)
    pause = next(pauses, None)
    return QueueRow(
        name=name,
        lag=sum(row.standing.lag for row in main),
        oldest_s=max((row.age_s for row in main), default=0.0),
        overdue_s=overdue_s,
        slo_s=slo_s,
        is_late=overdue_s > slo_s,
        on_ladder=sum(row.standing.lag for row in rows if row.rung),
        letters=letters.total if letters else 0,
        letters_oldest_s=letters.oldest_s if letters else 0.0,
        paused=shown(pause) if pause is not None else None,
        types=taken.types.get(name, {}),
        waits=taken.waits.get(name, {}),
    )


def _rungs(rows: Iterable[PartitionLag]) -> tuple[RungRow, ...]:
    by_rung: dict[str, list[PartitionLag]] = {}
    for row in rows:
        if row.rung:
            by_rung.setdefault(row.rung, []).append(row)
    return tuple(
        RungRow(
            rung=rung,
            jobs=sum(row.standing.lag for row in mine),
            oldest_s=max(row.age_s for row in mine),
            overdue_s=max(row.overdue_s for row in mine),
        )
        for rung, mine in by_rung.items()
    )


def _partition(row: PartitionLag) -> PartitionRow:
    at = row.standing
    return PartitionRow(
        row.rung, at.place[1], at.position, at.high, at.lag, row.age_s, row.overdue_s
    )
