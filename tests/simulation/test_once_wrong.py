"""Seeds that told of a fault once, of the product or of a judge, and what it was."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from tests.simulation import troubles
from tests.simulation.test_rules import ruled
from tests.simulation.world import play

ONCE_WRONG = {
    "a second hop of what came in time is not late": 5036,
    "a job that a child was handed began after the thaw": 140466,
    "a record that was left out a minute after that was drawn held its job up": 140609,
    "jobs that go one by one end later than others": 140975,
}
RULED_ONCE_WRONG = {
    "a job that was cut gave its key to one that waits on the ladder": 553,
    "a cancelled job keeps no key, wherever it is": 1320,
    "a place in a queue that was made anew since stood above all newer jobs": 10_431,
}


@pytest.mark.parametrize("what", ONCE_WRONG)
def test_what_was_wrong_once_is_right(what: str) -> None:
    assert play(ONCE_WRONG[what]).wrong == []


@pytest.mark.parametrize("what", RULED_ONCE_WRONG)
def test_rules_that_were_broken_once_hold(what: str) -> None:
    assert ruled(RULED_ONCE_WRONG[what]).wrong == []


@pytest.mark.parametrize("seed", [1137, 1340, 1486])
def test_rules_that_were_broken_once_hold_without_orders(seed: int) -> None:
    """A cancelled holder; a key that was free while who asked had more to wait for; no handler."""
    plan = replace(troubles.drawn(Random(seed)), ruled=True, poison=False)

    assert play(seed, trouble=plan).wrong == []
