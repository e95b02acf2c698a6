"""The health of a process: is it alive, is it ready, has it started.

Checks are plain values and the decisions below are pure: facts and a time in, checks out. An
orchestrator acts on the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of health; `why` is shown when it does not hold."""

    name: str
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes of a role, called for every request, from any thread; none may block.

    `live`: a failed check means that only a new process helps. `ready`: it does its work now.
    `started`: it came up at all. No checks at all means yes. `status` adds plain values, which
    JSON can hold, to the answer of `/status`.
    """

    live: Callable[[], Sequence[Check]] = tuple
    ready: Callable[[], Sequence[Check]] = tuple
    started: Callable[[], Sequence[Check]] = tuple
    status: Callable[[], Mapping[str, object]] = dict


def asked(probe: Callable[[], Sequence[Check]]) -> list[Check]:
    """The answer of a probe; a probe that can't answer has failed."""
    try:
        return list(probe())
    except Exception as error:  # noqa: BLE001 - a probe of any role: its fault is an answer, too
        return [Check("probe", ok=False, why=f"the probe itself failed: {error!r}")]


def holds(checks: Sequence[Check]) -> bool:
    """Whether every one holds."""
    return all(check.ok for check in checks)
