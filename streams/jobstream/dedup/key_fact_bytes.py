"""The bytes that a shard keeps under a unique key: what its rows say of it. Pure."""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from jobstream.dedup.errors import ShardUnusable
from jobstream_processors.core.key_facts import GivenUp, HeldBy, KeyFacts, Newest
from jobstream_schemas import caused

_TAG: Final = b"U"
# held: place, redrive, seq, expiry; released: place, redrive, seq, end; waits: place, first of its
# burst; then the lengths of the three job ids.
_HOLDS = Struct("<qqqqqqqqqqHHH")
_IDS_AT = len(_TAG) + _HOLDS.size


def encode_key_facts(holds: KeyFacts) -> bytes:
    """The bytes of `holds`. Raises OverflowError for a number beyond 64 bits."""
    held, released, waits = holds
    ids = [each.job_id.encode() for each in holds]
    try:
        facts = _HOLDS.pack(
            *(held.place, held.redrive, held.seq, held.expires_ms),
            *(released.place, released.redrive, released.seq, released.end),
            *(waits.place, waits.first_ms),
            *map(len, ids),
        )
    except error as reason:
        message = f"facts {holds} do not fit the shard: {reason}"
        raise caused(OverflowError(message), reason) from reason
    return _TAG + facts + b"".join(ids)


def decode_key_facts(value: bytes) -> KeyFacts:
    """The fact in `value`. Raises ShardUnusable for bytes that this module did not write."""
    if len(value) < _IDS_AT or not value.startswith(_TAG):
        message = f"damaged: {value[:32]!r} is not what a shard keeps under a unique key"
        raise ShardUnusable(message)
    unpacked = _HOLDS.unpack_from(value, len(_TAG))
    place, redrive, seq, expires_ms, gone, gone_redrive, gone_seq, end, newest, first_ms = unpacked[
        :10
    ]
    ids, at = [], _IDS_AT
    for size in unpacked[10:]:
        ids.append(value[at : at + size].decode("utf-8", "replace"))
        at += size
    return KeyFacts(
        HeldBy(place, redrive, seq, ids[0], expires_ms),
        GivenUp(gone, gone_redrive, gone_seq, end, ids[1]),
        Newest(newest, ids[2], first_ms),
    )
