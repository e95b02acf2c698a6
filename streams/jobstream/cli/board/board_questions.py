"""What the board asks for that no page asks for in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.limits_screen import LimitsAnswer, limits_and_breakers
from jobstream.control_listing import ControlEntry, shown
from jobstream_processors.core.orders import BREAKER_OPENED, HOLD_BREAKER, PAUSE_QUEUE, SET_LIMIT

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site

ORDERS_MAX = 200
TOLD_ELSEWHERE = frozenset({BREAKER_OPENED, HOLD_BREAKER, PAUSE_QUEUE, SET_LIMIT})
"""Kinds of entries that a queue, a breaker or a limit shows by itself."""


@dataclass(frozen=True, slots=True)
class RulesAnswer:
    """Breakers, limits, and what else operators ordered."""

    as_of: AsOf
    rules: LimitsAnswer
    orders: tuple[ControlEntry, ...]
    """Paused types, quiet workers, cancels: the newest first."""


def rules_in_force(site: Site) -> RulesAnswer:
    """All of it; blocks for the first look at the log alone. Raises SourceAway and NoSuch."""
    found = limits_and_breakers(site)
    taken, _ = site.look.now()
    others = [order for order in reversed(taken.orders) if order.kind not in TOLD_ELSEWHERE]
    return RulesAnswer(found.as_of, found, tuple(shown(order) for order in others[:ORDERS_MAX]))
