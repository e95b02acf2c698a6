"""What a store knows of a key, as values: whose it is, and what became of its request. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from jobstream.idempotency.stored_answer import StoredAnswer

STREAMED, TOO_LARGE = "streamed", "too-large"
"""Why an answer was not kept."""


@dataclass(frozen=True, slots=True)
class KeySlot:
    """Where a key belongs: keys of two callers never meet."""

    caller: str
    """A digest of who asks; the caller's secrets are in no store."""
    key: str


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """For how long, in milliseconds of the store's own clock."""

    lease_ms: int
    """A run whose lease was not renewed for so long counts as dead."""
    keep_ms: int
    """An answer is remembered for so long."""

    @property
    def running_ms(self) -> int:
        """A request that runs is remembered for so long, from its last renewal."""
        return max(self.lease_ms, self.keep_ms)


@dataclass(frozen=True, slots=True)
class Mine:
    """The request is to run here, under this token, which no other run of the key has."""

    slot: KeySlot
    token: str
    attempt: int
    """1 for the first run of the key; each later one came after a run that ended without answer.

    0 where the store is away, and so nothing is known of others.
    """

    @classmethod
    def unguarded(cls, slot: KeySlot) -> Mine:
        """A run that no store knows of."""
        return cls(slot, "", 0)


@dataclass(frozen=True, slots=True)
class InUse:
    """The same request runs right now, here or in another process."""


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """The key was used for a request with another method, path, query or body."""


@dataclass(frozen=True, slots=True)
class Unkept:
    """The request was answered, and its answer was not kept."""

    status: int
    why: str
    """`STREAMED` or `TOO_LARGE`."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The request was answered, with this."""

    answer: StoredAnswer


@dataclass(frozen=True, slots=True)
class NewerFormat:
    """A newer version of jobstream wrote what is stored; this one can't tell what it means."""


Begun = Mine | InUse | OtherRequest | Unkept | Answered | NewerFormat
"""The answers of `KeyStore.begin`."""
