"""Who did what, when and why, the newest first: what the log keeps of operators' acts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.control_listing import shown

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site

LIMIT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class ActRow:
    """One act."""

    at: datetime
    who: str
    what: str
    """As in `pause_queue`."""
    subject: str
    why: str
    until: datetime | None
    """When it ends by itself, if it does."""


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    """The acts that the source knows."""

    as_of: AsOf
    acts: tuple[ActRow, ...]
    note: str
    """What this source can't tell; empty if nothing."""


def audit(site: Site, limit: int = 200) -> AuditAnswer:
    """The newest acts; from the log, those in force. Raises SourceAway and NoSuch."""
    taken, told = site.look.now()
    entries = [shown(order) for order in taken.orders]
    rows = sorted(
        (
            ActRow(each.at, each.who, each.kind, each.subject, each.why, each.expires_at)
            for each in entries
        ),
        key=lambda row: row.at,
        reverse=True,
    )
    note = "read from the log: what is in force. What has ended, the audit log of each process has"
    return AuditAnswer(told, tuple(rows[: min(limit, LIMIT_MAX)]), note)
