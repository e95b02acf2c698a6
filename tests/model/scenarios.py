"""Which troubles are combined: each scenario is small enough to be explored to its end."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.world import Budget, World

QUIET = Budget(
    faults=0,
    crashes=0,
    freezes=0,
    refusals=0,
    duplicates=0,
    redriver_deaths=0,
    losses=0,
    windows=0,
)
DONE_OR_FAILED = (0, 1)
WITH_CANCEL = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where to begin, and how a run may end."""

    first: World
    outcomes: tuple[int, ...] = DONE_OR_FAILED


ANY_ONE = Scenario(World(Budget(faults=1)), WITH_CANCEL)
CRASHES = Scenario(World(QUIET._replace(faults=2, crashes=2, redriver_deaths=1)))
FREEZE = Scenario(World(QUIET._replace(faults=2, crashes=1, freezes=1)))
REPEATS = Scenario(World(QUIET._replace(faults=2, crashes=1, duplicates=1, refusals=1)))
FORGETTING = Scenario(World(QUIET._replace(faults=2, crashes=1, losses=1, windows=1)))
NEIGHBOUR = Scenario(
    World(QUIET._replace(faults=2, crashes=2, losses=1, redrives=0), queue=((), None))
)

SCENARIOS = {
    "any one trouble": ANY_ONE,
    "two crashes, or a crash and the redriver's": CRASHES,
    "a crash and a frozen worker": FREEZE,
    "a crash, repeated hops, enqueues and publishes": REPEATS,
    "a crash, lost group offsets, rows gone with time": FORGETTING,
    "a neighbour that overtakes": NEIGHBOUR,
}
