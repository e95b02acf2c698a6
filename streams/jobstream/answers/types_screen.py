"""Job types: what the code declares of each, and how many wait or are dead."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream_processors.core.orders import PAUSE_TYPE

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One job type."""

    name: str
    queue: str
    """Empty where the code is not known here."""
    waiting: float
    """About how many wait on queues, by a sample."""
    letters: int
    paused: bool
    breaker: str
    """The breaker that it names; empty for none, or where the code is not known here."""
    timeout_s: float | None
    is_declared: bool
    """Whether the code that is known here declares it; True where none is known."""


@dataclass(frozen=True, slots=True)
class TypesAnswer:
    """Every job type, by name."""

    as_of: AsOf
    types: tuple[TypeRow, ...]


def types(site: Site) -> TypesAnswer:
    """Every type that the code, the log or a letter names. Raises SourceAway and NoSuch."""
    taken, told = site.look.now()
    waiting: defaultdict[str, float] = defaultdict(float)
    for (_, job_type), jobs in taken.sight.backlog.items():
        waiting[job_type] += jobs
    dead: defaultdict[str, int] = defaultdict(int)
    for letters in taken.sight.letters.values():
        for (job_type, _), count in letters.counts.items():
            dead[job_type] += count
    paused = {order.subject for order in taken.orders if order.kind == PAUSE_TYPE}
    declared = site.app.jobs
    names = declared.keys() | waiting.keys() | dead.keys() | paused | set(site.known_types())
    rows = []
    for name in sorted(name for name in names if name):
        job = declared.get(name)
        rows.append(
            TypeRow(
                name=name,
                queue=job.queue.name if job is not None else "",
                waiting=round(waiting[name], 1),
                letters=dead[name],
                paused=name in paused,
                breaker=job.breaker.name if job is not None and job.breaker is not None else "",
                timeout_s=job.timeout_ms / 1000 if job is not None else None,
                is_declared=job is not None or not site.has_code,
            )
        )
    return TypesAnswer(told, tuple(rows))
