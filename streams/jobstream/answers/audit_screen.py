"""Who did what, when and why, the newest first: what the log keeps of operators' acts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NotFromViews
from jobstream.answers.moments import datetime_of
from jobstream.control_listing import shown

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream.views.view_answers import Act
    from jobstream.views.views_reader import Views

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
    act: str = "set"
    """`set` or `lifted`; of a dead letter, how it was closed."""


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    """The acts that the source knows."""

    as_of: AsOf
    acts: tuple[ActRow, ...]
    note: str
    """What this source can't tell; empty if nothing."""


def audit(site: Site, limit: int = 200) -> AuditAnswer:
    """The newest acts, from the views; from the log, those in force. Raises SourceAway and NoSuch.

    Blocks for 3 s at most while the views are asked, and for the first look at the log.
    """
    limit = min(limit, LIMIT_MAX)
    try:
        found, told = site.read_side.ask(lambda views: _history(views, limit))
    except NotFromViews as error:
        return _in_force(site, limit, error.why)
    return AuditAnswer(told, tuple(_row(act) for act in found), "")


def _history(views: Views, limit: int) -> list[Act]:
    found: list[Act] = []
    after = None
    while len(found) < limit:
        page = views.audit(after, limit - len(found))
        found += page.rows
        after = page.next
        if after is None:
            break
    return found


def _row(act: Act) -> ActRow:
    until = datetime_of(act.until_ms) if act.until_ms is not None else None
    return ActRow(datetime_of(act.at_ms), act.who, act.kind, act.subject, act.why, until, act.act)


def _in_force(site: Site, limit: int, why: str) -> AuditAnswer:
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
    return AuditAnswer(replace(told, why_log=why), tuple(rows[:limit]), note)
