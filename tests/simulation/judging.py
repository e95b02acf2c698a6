"""Many seeds, one verdict."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from tests.simulation.world import play

from jobstream.build_kind import build_kind

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = 2_000 if build_kind() == "pure" else 300
"""What the seeds are to find lies in the source; compiled, they look for what compiling changes."""
AT_ONCE = 100
"""Seeds of one test: few enough that a busy machine is not taken for a test that hangs."""
SHOWN_MAX = 5


def parts(first: int) -> list[range]:
    """Every second seed from `first` on, in parts for a test each."""
    seeds = range(first, SEEDS, 2)
    return [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]


def judge(seeds: range, say: Callable[[object], None]) -> None:
    """Play them all; tells what broke and how to see it again."""
    broken: list[str] = []
    hours, starts = 0.0, 0
    # What other tests left in memory need not be looked through for garbage again and again.
    gc.collect()
    gc.freeze()
    for seed in seeds:
        verdict = play(seed)
        hours += verdict.virtual_s / 3_600
        starts += verdict.starts
        if verdict.wrong:
            broken.append(verdict.told())
    gc.unfreeze()
    say(f"{len(seeds)} seeds, {hours:.0f} virtual hours, {starts} runs of handlers")
    assert not broken, f"{len(broken)} seeds broke a promise:\n" + "\n".join(broken[:SHOWN_MAX])
