"""Everything at a glance: late queues first, what runs, what is dead, what is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.queues_screen import GroupRow, QueueRow, groups, queue_rows
from jobstream.answers.read_side import ViewsState
from jobstream.answers.workers_screen import RunRow, workers
from jobstream.control_listing import ControlEntry, shown
from jobstream_processors.core.orders import CANCEL

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site

QUEUES_MAX = 50
RUNS_MAX = 20
ORDERS_MAX = 50


@dataclass(frozen=True, slots=True)
class OverviewAnswer:
    """The first page."""

    as_of: AsOf
    app: str
    queues: tuple[QueueRow, ...]
    """The latest first."""
    queues_left_out: int
    late: int
    """Queues that break their promise."""
    waiting: int
    on_ladder: int
    letters: int
    running: int
    """Of the workers of this machine."""
    runs: tuple[RunRow, ...]
    """What they run, the longest first."""
    workers: GroupRow
    delayers: GroupRow
    orders: tuple[ControlEntry, ...]
    """What is in force, but for cancels of single jobs; the newest first."""
    views: ViewsState | None = None
    """How the database of `jobstream views` stands; None where there is none."""


def overview(site: Site) -> OverviewAnswer:
    """The first page; blocks for the first look alone. Raises SourceAway and NoSuch."""
    taken, told = site.look.now()
    rows = queue_rows(site, taken)
    members, delayers = groups(site, taken)
    here = workers(site)
    orders = [shown(order) for order in reversed(taken.orders) if order.kind != CANCEL]
    return OverviewAnswer(
        as_of=told,
        app=site.name,
        queues=rows[:QUEUES_MAX],
        queues_left_out=max(0, len(rows) - QUEUES_MAX),
        late=sum(row.is_late for row in rows),
        waiting=sum(row.lag for row in rows),
        on_ladder=sum(row.on_ladder for row in rows),
        letters=sum(row.letters for row in rows),
        running=sum(row.running for row in here.processes),
        runs=here.runs[:RUNS_MAX],
        workers=members,
        delayers=delayers,
        orders=tuple(orders[:ORDERS_MAX]),
        views=site.read_side.state(),
    )
