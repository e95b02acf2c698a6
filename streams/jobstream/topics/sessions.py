"""Session and heartbeat of the consumer groups: what to set, and what the broker's limits cost.

Pure. With the consumer protocol (KIP-848) these two belong to the group and are kept by the
broker; a member can't choose them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobstream_processors.core.duration import to_text

SESSION = "consumer.session.timeout.ms"
HEARTBEAT = "consumer.heartbeat.interval.ms"
REBALANCE_PROTOCOLS = "group.coordinator.rebalance.protocols"


@dataclass(frozen=True, slots=True)
class GroupTimes:
    """How long a silent member is waited for, and how often members speak. Milliseconds."""

    session_ms: int
    heartbeat_ms: int


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What the broker lets a group have."""

    session_min_ms: int
    session_max_ms: int
    heartbeat_min_ms: int
    heartbeat_max_ms: int


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What to set for one group, and what the operator should know."""

    group: str
    changes: Mapping[str, str] = field(hash=False)
    notes: tuple[str, ...] = ()


LIMIT_SETTINGS = (
    "group.consumer.min.session.timeout.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.max.heartbeat.interval.ms",
)


def limits_from(configs: Mapping[str, str]) -> GroupLimits | None:
    """The limits among a broker's settings, or None if the broker does not tell all of them."""
    values = [configs.get(setting) for setting in LIMIT_SETTINGS]
    known = [int(value) for value in values if value]
    return GroupLimits(*known) if len(known) == len(LIMIT_SETTINGS) else None


def plan_group(
    group: str, times: GroupTimes, limits: GroupLimits | None, found: Mapping[str, str]
) -> GroupPlan:
    """What to set so that `group` comes as near to `times` as the broker's limits allow."""
    session_ms, heartbeat_ms = times.session_ms, times.heartbeat_ms
    if limits is not None:
        session_ms = min(max(session_ms, limits.session_min_ms), limits.session_max_ms)
        heartbeat_ms = min(max(heartbeat_ms, limits.heartbeat_min_ms), limits.heartbeat_max_ms)
    wanted = {SESSION: str(session_ms), HEARTBEAT: str(heartbeat_ms)}
    changes = {name: value for name, value in wanted.items() if found.get(name) != value}
    return GroupPlan(group, changes, _notes(group, times, GroupTimes(session_ms, heartbeat_ms)))


def _notes(group: str, asked: GroupTimes, given: GroupTimes) -> tuple[str, ...]:
    idle, slow = "the partitions of a killed worker stay idle for up to", "a rebalance takes about"
    times = (
        ("session", "session.timeout.ms", asked.session_ms, given.session_ms, idle),
        ("heartbeat", "heartbeat.interval.ms", asked.heartbeat_ms, given.heartbeat_ms, slow),
    )
    return tuple(
        f"group {group}: the broker's group.consumer.{'min' if got > wanted else 'max'}.{setting} "
        f"makes the {what} {to_text(got)} instead of {to_text(wanted)}: {cost} {to_text(got)}"
        for what, setting, wanted, got, cost in times
        if got != wanted
    )
