"""Workers: which processes of this machine do what since when, and how many there are in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream.answers.as_of import AsOf
from jobstream.answers.queues_screen import GroupRow, groups
from jobstream.control_listing import ControlEntry, shown
from jobstream.operate.process_answers import held_by
from jobstream_processors.core.orders import QUIET, is_meant

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream_processors.core.orders import Order

RUNS_MAX = 100


@dataclass(frozen=True, slots=True)
class RunRow:
    """A job that runs now."""

    id: str
    type: str
    queue: str
    attempt: int
    seconds: float
    worker: str
    stuck: bool
    """It is past its limit and can't be stopped."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process of this machine."""

    role: str
    worker: str
    """`host:pid`; empty for a process that runs no jobs."""
    pid: int
    address: str
    live: bool
    ready: bool
    draining: bool
    """It was asked to leave: it begins nothing, and goes once its jobs have ended."""
    running: int
    concurrency: int
    partitions: int
    in_flight: int
    held: Mapping[str, tuple[str, ...]]
    """Partition → why nothing of it begins."""
    quiet: ControlEntry | None
    """The order that keeps it from taking jobs."""
    why: tuple[str, ...]
    """What fails, in words."""


@dataclass(frozen=True, slots=True)
class WorkersAnswer:
    """The processes of this machine, and the groups of the whole cluster."""

    as_of: AsOf
    processes: tuple[ProcessRow, ...]
    runs: tuple[RunRow, ...]
    """What they run, the longest first."""
    runs_left_out: int
    workers: GroupRow
    delayers: GroupRow
    elsewhere: int
    """Members of the workers' group that are not on this machine, so that nobody asked them."""


def workers(site: Site) -> WorkersAnswer:
    """The processes of this machine; blocks for 5 s at most. Raises SourceAway and NoSuch."""
    taken, told = site.look.now()
    quiets = [order for order in taken.orders if order.kind == QUIET]
    rows = tuple(_row(answer, quiets) for answer in site.processes().value)
    runs = sorted(
        (
            RunRow(
                id=run["id"],
                type=run["job"],
                queue=run["queue"],
                attempt=run["attempt"],
                seconds=run["seconds"],
                worker=str(answer.get("worker", "")),
                stuck=bool(run.get("stuck")),
            )
            for answer in site.processes().value
            for run in answer.get("runs") or []
        ),
        key=lambda run: -run.seconds,
    )
    members, delayers = groups(site, taken)
    here = sum(1 for row in rows if row.worker and row.role == "worker")
    return WorkersAnswer(
        as_of=told,
        processes=rows,
        runs=tuple(runs[:RUNS_MAX]),
        runs_left_out=max(0, len(runs) - RUNS_MAX),
        workers=members,
        delayers=delayers,
        elsewhere=max(0, members.members - here),
    )


def _row(answer: dict[str, Any], quiets: list[Order]) -> ProcessRow:
    name = str(answer.get("worker") or "")
    quiet = next((order for order in quiets if name and is_meant(order.subject, name)), None)
    failed = [str(each.get("why", "")) for each in answer.get("failed") or []]
    return ProcessRow(
        role=str(answer.get("role", "")),
        worker=name,
        pid=int(answer.get("pid", 0)),
        address=str(answer.get("address", "")),
        live=bool(answer.get("live")),
        ready=bool(answer.get("ready")),
        draining=bool(answer.get("leaving")),
        running=int(answer.get("running") or 0),
        concurrency=int(answer.get("concurrency") or 0),
        partitions=int(answer.get("partitions") or 0),
        in_flight=int(answer.get("in_flight") or 0),
        held={place: tuple(why) for place, why in held_by(answer).items()},
        quiet=shown(quiet) if quiet is not None else None,
        why=tuple(dict.fromkeys(text for text in failed if text)),
    )
