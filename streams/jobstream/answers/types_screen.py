"""Job types: what the code declares of each, and how many wait or are dead."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NotFromViews
from jobstream_processors.core.orders import PAUSE_TYPE

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site

WINDOW_S = 3_600.0


@dataclass(frozen=True, slots=True)
class TypeRates:
    """How jobs of a type went in the last hour, by the views."""

    ended_per_s: float
    failed: int
    """Attempts that failed and are tried again, and jobs that died."""
    dead: int
    p50_ms: float | None
    """From the queue to the end, of jobs that are done."""
    p95_ms: float | None
    slowest_ms: int | None
    slowest_id: str


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
    went: TypeRates | None = None
    """How its jobs went in the last hour; None where the views do not tell."""


@dataclass(frozen=True, slots=True)
class TypesAnswer:
    """Every job type, by name."""

    as_of: AsOf
    types: tuple[TypeRow, ...]
    rates_as_of: AsOf | None = None
    """That of `went`; None where the views do not tell."""


def type_rates(site: Site) -> tuple[dict[str, TypeRates], AsOf]:
    """By type, how its jobs went in the last hour; blocks for 3 s at most. Raises NotFromViews."""
    found, told = site.read_side.ask(lambda views: views.types(WINDOW_S))
    rates = {
        each.job_type: TypeRates(
            each.rate, each.failed, each.dead, each.p50_ms, each.p95_ms, each.slowest_ms,
            each.slowest_id,
        )
        for each in found
    }  # fmt: skip
    return rates, told


def types(site: Site) -> TypesAnswer:
    """Every type that the code, the log, a letter or the views name. Raises SourceAway, NoSuch."""
    taken, told = site.look.now()
    rates: dict[str, TypeRates] = {}
    rates_as_of = None
    try:
        rates, rates_as_of = type_rates(site)
    except NotFromViews as error:
        told = replace(told, why_log=error.why)
    waiting: defaultdict[str, float] = defaultdict(float)
    for (_, job_type), jobs in taken.sight.backlog.items():
        waiting[job_type] += jobs
    dead: defaultdict[str, int] = defaultdict(int)
    for letters in taken.sight.letters.values():
        for (job_type, _), count in letters.counts.items():
            dead[job_type] += count
    paused = {order.subject for order in taken.orders if order.kind == PAUSE_TYPE}
    declared = site.app.jobs
    names = (
        declared.keys()
        | waiting.keys()
        | dead.keys()
        | paused
        | rates.keys()
        | set(site.known_types())
    )
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
                went=rates.get(name),
            )
        )
    return TypesAnswer(told, tuple(rows), rates_as_of)
