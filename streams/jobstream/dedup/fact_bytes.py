"""The bytes that a shard keeps under a job id: what the rows say of it. Pure.

Done absorbs every other fact, so a done id keeps its identity and nothing else. That makes a blind
write of done and a merge give the same bytes in either order.
"""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from jobstream.dedup.errors import ShardUnusable
from jobstream_processors.core.known import Known
from jobstream_schemas import caused

DONE_TAG: Final = b"D"
DONE_SIZE: Final = 17
"""Bytes of a done id: the tag, 8 of fingerprint, 8 of digest."""

_FACTS_TAG = b"F"
# Flag of done, ended, moved, parked, crashes, then the length of the fingerprint.
_FACTS = Struct("<?qBqqqqqqqqqqB")
_FACTS_AT = len(_FACTS_TAG) + _FACTS.size


def encode_done(fingerprint: bytes, digest: bytes) -> bytes:
    """The bytes of a done id: 17 of them where both parts have their 8."""
    plain = DONE_TAG + fingerprint + digest
    if len(plain) == DONE_SIZE:
        return plain
    return encode(Known(done=True, identity=(fingerprint, digest)))


def encode(known: Known) -> bytes:
    """The bytes of `known`, short for done. Raises OverflowError for a number beyond 64 bits."""
    fingerprint, digest = known.identity
    if known.done:
        if len(fingerprint) + len(digest) == DONE_SIZE - len(DONE_TAG):
            return DONE_TAG + fingerprint + digest
        known = Known(done=True, identity=known.identity)
    try:
        facts = _FACTS.pack(
            known.done, *known.ended, *known.moved, *known.parked, *known.crashes, len(fingerprint)
        )
    except error as reason:
        message = f"facts {known} do not fit the shard: {reason}"
        raise caused(OverflowError(message), reason) from reason
    return _FACTS_TAG + facts + fingerprint + digest


def decode(value: bytes) -> Known:
    """The fact in `value`. Raises ShardUnusable for bytes that this module did not write."""
    if len(value) == DONE_SIZE and value.startswith(DONE_TAG):
        return Known(done=True, identity=(value[1:9], value[9:]))
    if len(value) < _FACTS_AT or not value.startswith(_FACTS_TAG):
        message = f"damaged: {value[:32]!r} is not what a shard keeps under an id"
        raise ShardUnusable(message)
    done, *numbers, size = _FACTS.unpack_from(value, len(_FACTS_TAG))
    redrive, rank, moved, seq, *parked, crashed, crashes = numbers
    split = _FACTS_AT + size
    return Known(
        done=done,
        ended=(redrive, rank),
        moved=(moved, seq),
        parked=tuple(parked),
        crashes=(crashed, crashes),
        identity=(value[_FACTS_AT:split], value[split:]),
    )
