"""The unique keys of one partition that jobs in flight ask for: who has each of them now.

Nothing of it outlives its owner, and nothing needs to: the next one reads the same records again in
the same order, and the rows tell of what left the window. Pure but for the questions it asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from jobstream_processors.core.key_facts import HeldBy, KeyFacts, Newest
from jobstream_processors.core.unique_answer import Free, Later, Takes, Waits, answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobstream_processors.core.unique_answer import Answer, Asks

Item = TypeVar("Item")


class KeyTable(Protocol):
    """What the dedup table tells."""

    def key_facts(self, name: str) -> KeyFacts:
        """What is known of the key."""

    def facts_of_keys(self, names: Sequence[str]) -> Sequence[KeyFacts]:
        """What is known of each of these, in one read."""

    def is_over(self, held: HeldBy) -> bool:
        """Whether the job has ended since it took the key, by its own rows."""


class _Key(Generic[Item]):
    """One key that is asked for."""

    __slots__ = ("asking", "facts", "holder", "in_vain")

    def __init__(self, facts: KeyFacts) -> None:
        self.facts = facts
        self.holder: HeldBy | None = None
        """In memory: its offset is not finished."""
        self.asking: dict[str, Item] = {}
        """The deliveries in flight that asked for it, by the ids of their jobs."""
        self.in_vain: dict[str, int] = {}
        """The places of those of them that did not get it, by the ids of their jobs."""

    def before(self, asks: Asks) -> str | None:
        """A job before it that did not get the key and whose end is in no table yet."""
        return next((each for each, place in self.in_vain.items() if place < asks.place), None)


class UniqueKeys(Generic[Item]):
    """Every key of one lane that a delivery in flight asked for. Not thread-safe."""

    def __init__(self, table: KeyTable) -> None:
        self._table = table
        self._keys: dict[str, _Key[Item]] = {}
        self._ahead: dict[str, KeyFacts] = {}
        """Of keys that are about to be asked for, and of which nothing is in flight."""

    def look_ahead(self, names: Iterable[str]) -> None:
        """Read once for all deliveries that are to enter now; call it with none after that.

        What is read stands: rows of a key are written for deliveries in flight alone.
        """
        fresh = {name: None for name in names if name not in self._keys}
        self._ahead = (
            dict(zip(fresh, self._table.facts_of_keys([*fresh]), strict=True)) if fresh else {}
        )

    def enter(self, name: str, job_id: str, item: Item) -> None:
        """A delivery that will ask for the key, or ends without asking, is in flight."""
        key = self._keys.get(name)
        if key is None:
            facts = self._ahead.pop(name, None)
            if facts is None:
                facts = self._table.key_facts(name)
            key = self._keys[name] = _Key(facts)
        key.asking[job_id] = item

    def ask(self, name: str, asks: Asks, delivery: tuple[int, int], now_ms: int) -> Answer:
        """What a delivery that has entered gets; takes the key where it may.

        `delivery` is its (redrive, seq). Deliveries ask first in the order of their offsets, and
        again as often as they like.
        """
        key = self._keys[name]
        holder = self._holder(key, asks.job_id, now_ms)
        given = answer(key.facts, asks, holder, now_ms)
        if holder is None and asks.mode.latest and not asks.redriven and isinstance(given, Takes):
            # An heir that reads the earlier one again would give it the key, and end this one,
            # which had begun, as the duplicate of a later one.
            earlier = key.before(asks)
            if earlier is not None:
                given = Waits(earlier)
        if isinstance(given, Takes | Free):
            key.in_vain.pop(asks.job_id, None)
        else:
            key.in_vain[asks.job_id] = asks.place
        if isinstance(given, Takes):
            if key.holder is None or key.holder.job_id != asks.job_id:
                key.holder = HeldBy(asks.place, *delivery, asks.job_id, asks.expires_ms)
                key.facts = key.facts.merge(KeyFacts(held=key.holder))
        elif isinstance(given, Waits | Later):
            first_ms = given.first_ms if isinstance(given, Later) else 0
            newest = Newest(asks.place, asks.job_id, first_ms)
            key.facts = key.facts.merge(KeyFacts(waits=newest))
        return given

    def item(self, name: str, job_id: str) -> Item | None:
        """The delivery of that job, if one is in flight and asks for the key."""
        key = self._keys.get(name)
        return None if key is None else key.asking.get(job_id)

    def asking(self, name: str) -> list[Item]:
        """The deliveries in flight that ask for the key; none where another of them has it."""
        key = self._keys.get(name)
        return [] if key is None or key.holder is not None else [*key.asking.values()]

    def holder(self, name: str) -> HeldBy | None:
        """Who has the key, if that is in flight."""
        key = self._keys.get(name)
        return None if key is None else key.holder

    def freed(self, name: str, job_id: str) -> None:
        """The job's row is in the table by which it gave the key up, or keeps it elsewhere."""
        key = self._keys.get(name)
        if key is None:
            return
        if key.holder is not None and key.holder.job_id == job_id:
            key.holder = None
        # What waits in memory has no row; what took the key has none either.
        kept = KeyFacts(waits=key.facts.waits)
        if key.holder is not None:
            kept = kept._replace(held=key.holder)
        key.facts = self._table.key_facts(name).merge(kept)

    def leave(self, name: str, job_id: str, item: Item) -> None:
        """A delivery's offset is finished, and all its rows are in the table."""
        key = self._keys.get(name)
        if key is None or key.asking.get(job_id) is not item:
            return
        del key.asking[job_id]
        key.in_vain.pop(job_id, None)
        if not key.asking:
            del self._keys[name]
        elif key.holder is not None and key.holder.job_id == job_id:
            self.freed(name, job_id)

    def __len__(self) -> int:
        """How many keys are asked for."""
        return len(self._keys)

    def _holder(self, key: _Key[Item], job_id: str, now_ms: int) -> str | None:
        mine = key.holder
        if mine is not None and (mine.job_id == job_id or now_ms < mine.expires_ms):
            return mine.job_id
        held = key.facts.holder(now_ms)
        if held is None or (held.job_id != job_id and self._table.is_over(held)):
            return None
        return held.job_id
