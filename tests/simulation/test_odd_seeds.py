"""Every promise holds in the odd seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.simulation.judging import AT_ONCE, SEEDS, judge

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("first", range(1, SEEDS, 2 * AT_ONCE))
def test_every_promise_holds(first: int, say: Callable[[object], None]) -> None:
    judge(range(first, min(first + 2 * AT_ONCE, SEEDS), 2), say)
