"""Every promise holds in the odd seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.simulation.judging import judge, parts

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("seeds", parts(1), ids=str)
def test_every_promise_holds(seeds: range, say: Callable[[object], None]) -> None:
    judge(seeds, say)
