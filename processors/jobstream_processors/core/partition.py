"""Which partition a key belongs to: the choice that every Kafka client with murmur2 makes.

Java's default for keyed records and librdkafka's `murmur2_random` agree with it, so a producer in
another language puts the same key on the same partition. What to do without a key is not decided
here.
"""

from __future__ import annotations

from struct import unpack_from

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_SHIFT = 24
_MASK = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """MurmurHash2 of `key`, 32 bits, seed 0x9747b28c: `Utils.murmur2` of the Java client, unsigned.

    Source: Austin Appleby, MurmurHash2.cpp (public domain), 32-bit variant, little-endian words.
    """
    size = len(key)
    words = size >> 2
    state = _SEED ^ size
    for word in unpack_from(f"<{words}I", key):
        mixed = word * _MIX & _MASK
        state = (state * _MIX & _MASK) ^ ((mixed ^ mixed >> _SHIFT) * _MIX & _MASK)
    if size & 3:
        state = (state ^ int.from_bytes(key[words << 2 :], "little")) * _MIX & _MASK
    state = (state ^ state >> 13) * _MIX & _MASK
    return state ^ state >> 15


def partition_for(key: bytes, count: int) -> int:
    """The partition of `key` in a topic of `count` partitions.

    The sign bit is dropped first, as Java's `toPositive` does.
    """
    return (murmur2(key) & 0x7FFFFFFF) % count


def any_partition(random_id: str, count: int) -> int:
    """A partition for a job whose id was drawn just now: nothing has to find it there by its key.

    `random_id` ends in random hexadecimal digits. It costs a tenth of `partition_for`.
    """
    return int(random_id[-8:], 16) % count
