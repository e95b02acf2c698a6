"""The keys that deliveries in flight ask for: who begins, and for whose end it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.key_facts import NO_FACTS, GivenUp, HeldBy, KeyFacts
from jobstream_processors.core.unique_answer import Asks, Duplicate, Takes, Waits
from jobstream_processors.core.unique_keys import UniqueKeys
from jobstream_processors.core.unique_mode import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.core.unique_answer import Answer

LATEST = Mode(latest=True)


class Rows:
    """The table: what was written of the key."""

    def __init__(self) -> None:
        self.facts = NO_FACTS

    def key_facts(self, name: str) -> KeyFacts:
        del name
        return self.facts

    def facts_of_keys(self, names: Sequence[str]) -> Sequence[KeyFacts]:
        return [self.facts for _ in names]

    def is_over(self, held: HeldBy) -> bool:
        del held
        return False


class Asking:
    """One owner; a job's id is its offset."""

    def __init__(self, rows: Rows) -> None:
        self.keys: UniqueKeys[int] = UniqueKeys(rows)

    def enters(self, offset: int) -> Answer:
        self.keys.enter("k", str(offset), offset)
        return self.asks(offset)

    def asks(self, offset: int) -> Answer:
        asks = Asks(str(offset), LATEST, offset, 0, expires_ms=1_000)
        return self.keys.ask("k", asks, (0, 0), 0)

    def leaves(self, offset: int) -> None:
        self.keys.leave("k", str(offset), offset)


@pytest.fixture
def rows() -> Rows:
    return Rows()


def test_the_newest_begins_once_the_end_of_those_it_replaced_is_in_the_table(rows: Rows) -> None:
    owner = Asking(rows)
    assert [owner.enters(n) for n in range(3)] == [Takes(), Waits("0"), Waits("0")]
    rows.facts = KeyFacts(released=GivenUp(place=0, end=3, job_id="0"))
    owner.leaves(0)
    assert owner.asks(1) == Duplicate("2")
    assert owner.asks(2) == Waits("1"), "an heir would read 1 again, and give it the key"
    owner.leaves(1)
    assert owner.asks(2) == Takes()
    assert owner.asks(2) == Takes(), "what it has it keeps"


def test_what_had_the_key_is_not_waited_for_after_its_hold(rows: Rows) -> None:
    owner = Asking(rows)
    assert owner.enters(0) == Takes()
    asks = Asks("1", LATEST, 1, 2_000, expires_ms=3_000)
    owner.keys.enter("k", "1", 1)
    assert owner.keys.ask("k", asks, (0, 0), 2_000) == Takes(), "the hold of 0 expired; it runs on"
