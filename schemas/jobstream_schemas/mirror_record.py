"""The mirror of a committed watermark, to bytes and back."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from jobstream_schemas.errors import DecodeError
from jobstream_schemas.packaged import PackagedRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIRROR_FINGERPRINT = bytes.fromhex("fc793d5d81956892")

_RECORD = PackagedRecord("mirror", "mirror", MIRROR_FINGERPRINT, 1_048_576)
RESET = -1
"""`Mirror.unclean` of an operator's reset: it wins over the watermarks that it takes back."""


class Mirror(NamedTuple):
    """A group's watermark on one partition, and what is finished above it.

    `position` is the next offset to read. `finished` holds half-open ranges: first finished
    offset, next offset after the last. `at` is milliseconds since the epoch. The owner whose claim
    row stands at offset `claim` begins no job at `may_begin` or above before it has said so in
    another mirror; claim -1 stands for no owner that has said so.
    """

    group: str
    topic: str
    topic_id: str
    partition: int
    position: int
    finished: tuple[tuple[int, int], ...]
    unclean: int
    at: int
    claim: int = -1
    may_begin: int = 0

    @property
    def is_reset(self) -> bool:
        """Whether an operator wrote it, to take watermarks back or ahead."""
        return self.unclean < 0


def mirror_key(mirror: Mirror) -> bytes:
    """The Kafka key: group, topic id and partition, so that a topic made anew has its own."""
    return mirror_key_of(mirror.group, mirror.topic_id, mirror.partition)


def mirror_key_of(group: str, topic_id: str, partition: int) -> bytes:
    """The key under which the mirrors of that partition stand."""
    return f"{group}:{topic_id}:{partition}".encode()


def encode_mirror(mirror: Mirror) -> bytes:
    """The framed value; raises `EncodeError` for a value that has no Avro form."""
    record = mirror._asdict()
    record["finished"] = _steps(mirror.position, mirror.finished)
    return _RECORD.encode(mirror, record)


def decode_mirror(value: bytes) -> Mirror:
    """The mirror in a framed value; raises `DecodeError`, `UnknownSchema` for another schema.

    Proves nothing about the offsets: whether the topic still is the one that was meant.
    """
    record = _RECORD.decode(value)
    record["finished"] = _ranges(record["position"], record["finished"])
    return Mirror(**record)


def _steps(position: int, ranges: Iterable[tuple[int, int]]) -> list[int]:
    """The ranges as distances, a byte or two each, so that thousands of them fit into a record."""
    steps: list[int] = []
    at = position
    for start, end in ranges:
        steps += (start - at, end - start)
        at = end
    return steps


def _ranges(position: int, steps: Sequence[int]) -> tuple[tuple[int, int], ...]:
    if len(steps) % 2:
        message = f"mirror: {len(steps)} distances do not make pairs"
        raise DecodeError(message)
    places = list(accumulate(steps, initial=position))[1:]
    return tuple(zip(places[::2], places[1::2], strict=True))
