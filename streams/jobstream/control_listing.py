"""Control entries as people see them: with words and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream_processors.core.orders import Order


@dataclass(frozen=True, slots=True)
class ControlEntry:
    """A control entry: a pause, a cancel, a quiet or a drain, and when it ends."""

    kind: str
    """`pause_queue`, `pause_type`, `cancel`, `quiet`, `drain`, `hold_breaker`, `breaker_opened`
    or `set_limit`."""
    subject: str
    """The queue, the job type, the job's id, the worker, the breaker, or the limit."""
    who: str
    why: str
    at: datetime
    """When the broker took it."""
    expires_at: datetime
    """From this moment on every worker ignores the entry."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Numbers by name, for kinds that have some: `open` of `hold_breaker` is 1, or 0 for closed;
    `concurrency`, or `starts`, `period_ms` and perhaps `burst`, of `set_limit`."""


def shown(entry: Order) -> ControlEntry:
    """An entry with times a person can read."""
    kind, subject, who, why, at_ms, expires_ms, limits = entry
    return ControlEntry(kind, subject, who, why, _moment(at_ms), _moment(expires_ms), dict(limits))


def _moment(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
