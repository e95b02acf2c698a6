"""Health: each source and part, whether it answers, how old its last word is, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf, as_of
from jobstream.answers.errors import AnswerError
from jobstream.answers.queues_screen import groups, queue_rows
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream.answers.shared_look import Taken


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of the system."""

    name: str
    ok: bool
    said: str
    """In a sentence: how it is, and if it is not well, what to do."""


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """Every part, those that are not well first."""

    as_of: AsOf
    ok: bool
    parts: tuple[PartRow, ...]


def health(site: Site, now_s: float) -> HealthAnswer:
    """How each part is, as far as it can be seen from here; raises nothing for one that is away."""
    try:
        taken, told = site.look.now()
    except AnswerError as error:
        broker = PartRow("broker", ok=False, said=str(error))
        return HealthAnswer(
            as_of("log", 0.0, now_s, str(error)), ok=False, parts=(broker, views_part(site))
        )
    parts = [
        PartRow("broker", ok=not told.stale, said=told.stale or "answers"),
        _groups(site, taken),
        _queues(site, taken),
        *_processes(site),
        views_part(site),
    ]
    parts.sort(key=lambda part: part.ok)
    return HealthAnswer(told, all(part.ok for part in parts), tuple(parts))


def _groups(site: Site, taken: Taken) -> PartRow:
    workers, delayers = groups(site, taken)
    if not workers.members:
        return PartRow("workers", ok=False, said="no worker runs: jobstream worker MODULE:APP")
    if not delayers.members:
        return PartRow("workers", ok=False, said="no delayer runs: delayed jobs wait")
    told = f"{counted(workers.members, 'worker')} ({workers.idle} without a partition)"
    said = f"{told}, {counted(delayers.members, 'delayer')}"
    return PartRow("workers", ok=True, said=said)


def _queues(site: Site, taken: Taken) -> PartRow:
    late = [row.name for row in queue_rows(site, taken) if row.is_late]
    if late:
        return PartRow("queues", ok=False, said=f"behind their objective: {', '.join(late[:20])}")
    return PartRow("queues", ok=True, said="all keep their objective")


def views_part(site: Site) -> PartRow:
    """The database of `jobstream views`: none is needed, but one that is there is to be fresh."""
    state = site.read_side.state()
    if state is not None:
        return PartRow("views", ok=state.ok, said=state.said)
    return PartRow("views", ok=True, said=f"not in use; {site.read_side.why_not()}")


def _processes(site: Site) -> list[PartRow]:
    return [
        PartRow(
            f"{answer['role']} {answer['pid']}",
            ok=bool(answer.get("live")) and bool(answer.get("ready")),
            said="; ".join(str(each.get("why")) for each in answer.get("failed") or [])
            or "live and ready",
        )
        for answer in site.processes().value
    ]
