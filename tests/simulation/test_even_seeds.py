"""Every promise holds in the even seeds; the odd ones are in a file of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.simulation.judging import judge, parts
from tests.simulation.world import play

if TYPE_CHECKING:
    from collections.abc import Callable

PLAYED_AGAIN = [2, 3, 5]
TOLD = f"from tests.simulation.world import play; print(*[play(s).digest for s in {PLAYED_AGAIN}])"


@pytest.mark.parametrize("seeds", parts(0), ids=str)
def test_every_promise_holds(seeds: range, say: Callable[[object], None]) -> None:
    judge(seeds, say)


def test_a_seed_is_played_the_same_way_in_another_process() -> None:
    """Hashes of names and places in memory differ there, and nothing may come of that."""
    here = [play(seed).digest for seed in PLAYED_AGAIN]
    for hashes in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hashes}
        command = [sys.executable, "-c", TOLD]
        told = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        assert told.stdout.split() == here
