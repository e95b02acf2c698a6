"""The `Shard` port in a dictionary: it forgets nothing, and is warm when opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.key_facts import NO_FACTS
from jobstream_processors.core.known import UNKNOWN, Known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.core.key_facts import KeyFacts


class MemoryShard:
    """The facts about the ids of one partition. Used by one thread at a time."""

    def __init__(
        self, facts: dict[str, Known] | None = None, holds: dict[str, KeyFacts] | None = None
    ) -> None:
        self._facts = facts if facts is not None else {}
        self._holds = holds if holds is not None else {}
        self._closed = False

    def get(self, ids: Sequence[str]) -> Sequence[Known | None]:
        """The fact about each id."""
        return [self._open().get(job_id) for job_id in ids]

    def put_done(self, rows: Sequence[tuple[str, bytes, bytes]]) -> None:
        """Record (id, fingerprint, digest) as done. Whatever was known before is dropped."""
        for job_id, fingerprint, digest in rows:
            self._open()[job_id] = Known(done=True, identity=(fingerprint, digest))

    def merge(self, facts: Sequence[tuple[str, Known]]) -> None:
        """Merge facts into what is known."""
        known = self._open()
        for job_id, fact in facts:
            known[job_id] = known.get(job_id, UNKNOWN).merge(fact)

    def key_facts(self, name: str) -> KeyFacts:
        """What is known of a unique key."""
        self._open()
        return self._holds.get(name, NO_FACTS)

    def facts_of_keys(self, names: Sequence[str]) -> Sequence[KeyFacts]:
        """What is known of each of these."""
        return [self.key_facts(name) for name in names]

    def keep_key_facts(self, facts: Sequence[tuple[str, KeyFacts]]) -> None:
        """Merge facts about unique keys into what is known of them."""
        self._open()
        for name, fact in facts:
            self._holds[name] = self._holds.get(name, NO_FACTS).merge(fact)

    def rows(self) -> int:
        """How many ids and unique keys something is known of."""
        return 0 if self._closed else len(self._facts) + len(self._holds)

    def close(self) -> None:
        """Close; `reopened` gives the same facts again."""
        self._closed = True

    def reopened(self) -> MemoryShard:
        """The shard as its next owner in this process slot finds it: warm."""
        return MemoryShard(self._facts, self._holds)

    def __len__(self) -> int:
        return len(self._facts)

    def _open(self) -> dict[str, Known]:
        if self._closed:
            message = "the shard is closed; open it again"
            raise ValueError(message)
        return self._facts
