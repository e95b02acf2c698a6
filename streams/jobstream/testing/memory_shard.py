"""The `Shard` port in a dictionary: it forgets nothing, and is warm when opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.known import UNKNOWN, Known

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryShard:
    """The facts about the ids of one partition. Used by one thread at a time."""

    def __init__(self, facts: dict[str, Known] | None = None) -> None:
        self._facts = facts if facts is not None else {}
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

    def rows(self) -> int:
        """How many ids something is known of."""
        return 0 if self._closed else len(self._facts)

    def close(self) -> None:
        """Close; `reopened` gives the same facts again."""
        self._closed = True

    def reopened(self) -> MemoryShard:
        """The shard as its next owner in this process slot finds it: warm."""
        return MemoryShard(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def _open(self) -> dict[str, Known]:
        if self._closed:
            message = "the shard is closed; open it again"
            raise ValueError(message)
        return self._facts
