"""Limits and breakers: what the code declares, what operators changed, and what workers found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream.answers.as_of import AsOf
from jobstream.control_listing import ControlEntry, shown
from jobstream_processors.core.orders import BREAKER_OPENED, HOLD_BREAKER, OPEN, SET_LIMIT

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site


@dataclass(frozen=True, slots=True)
class BreakerNow:
    """One circuit breaker."""

    name: str
    types: tuple[str, ...]
    """The job types that name it; none where the code is not known here."""
    state: str
    """`closed`, or `open`: held so, found failing by a worker, or said so by one here."""
    held: ControlEntry | None
    """The order that holds it open or closed."""
    opened: ControlEntry | None
    """What the worker told that opened it last, while that is in force."""
    seen: Mapping[str, str]
    """Worker of this machine → what it says of it."""


@dataclass(frozen=True, slots=True)
class LimitNow:
    """One limit of a job type."""

    name: str
    type: str
    declared: str
    """Its numbers in code; empty where that is not known here."""
    changed: ControlEntry | None
    """The order that gives it other numbers."""


@dataclass(frozen=True, slots=True)
class LimitsAnswer:
    """Every limit and breaker, by name."""

    as_of: AsOf
    breakers: tuple[BreakerNow, ...]
    limits: tuple[LimitNow, ...]


def limits_and_breakers(site: Site) -> LimitsAnswer:
    """Every limit and breaker; blocks for a look at the control topic. Raises SourceAway."""
    taken, told = site.look.now()
    held = {o.subject: shown(o) for o in taken.orders if o.kind == HOLD_BREAKER}
    opened = {o.subject: shown(o) for o in taken.orders if o.kind == BREAKER_OPENED}
    changed = {o.subject: shown(o) for o in taken.orders if o.kind == SET_LIMIT}
    seen = _seen(site.processes().value)
    users: dict[str, list[str]] = {}
    for job in site.app.jobs.values():
        if job.breaker is not None:
            users.setdefault(job.breaker.name, []).append(job.name)
    breakers = tuple(
        BreakerNow(
            name=name,
            types=tuple(users.get(name, ())),
            state=_state(held.get(name), opened.get(name), seen.get(name, {})),
            held=held.get(name),
            opened=opened.get(name),
            seen=seen.get(name, {}),
        )
        for name in sorted(users.keys() | held.keys() | opened.keys() | seen.keys())
    )
    declared = {
        name: str(limit)
        for job in site.app.jobs.values()
        for name, limit in job.limits_by_name.items()
    }
    limits = tuple(
        LimitNow(name, name.partition("/")[0], declared.get(name, ""), changed.get(name))
        for name in sorted(declared.keys() | changed.keys())
    )
    return LimitsAnswer(told, breakers, limits)


def _state(held: ControlEntry | None, opened: ControlEntry | None, seen: Mapping[str, str]) -> str:
    if held is not None:
        return "open" if held.limits.get(OPEN) else "closed"
    if opened is not None:
        return "open"
    others = sorted({state for state in seen.values() if state != "closed"})
    return others[0] if others else "closed"


def _seen(processes: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for answer in processes:
        for each in answer.get("breakers") or []:
            found.setdefault(each["name"], {})[str(answer.get("worker", ""))] = str(each["state"])
    return found
