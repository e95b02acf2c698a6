"""Every promise holds in the odd seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.judging import SEEDS, judge

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_promise_holds(say: Callable[[object], None]) -> None:
    judge(range(1, SEEDS, 2), say)
