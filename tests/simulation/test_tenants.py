"""A quiet tenant waits for its turn, and not for all that a loud one has enqueued."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.simulation import rule_mutations, tenants
from tests.simulation.world import Verdict, play

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

SEEDS, SEEDS_MAX = 24, 12
FAULTS = (
    rule_mutations.turns_that_nobody_takes,
    rule_mutations.a_window_that_one_tenant_fills,
)


def shared(seed: int) -> Verdict:
    return play(seed, trouble=tenants.plan())


def test_a_quiet_tenant_waits_for_its_turn_alone() -> None:
    assert not {seed: found for seed in range(SEEDS) if (found := shared(seed).wrong)}


@pytest.mark.pure("patches what is compiled")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_in_which_it_waits_for_longer_is_found(
    fault: Callable[[], AbstractContextManager[None]],
) -> None:
    for seed in range(SEEDS_MAX):
        with fault():
            if any("of the quiet tenant" in each for each in shared(seed).wrong):
                return
    pytest.fail(f"not found in {SEEDS_MAX} seeds")
