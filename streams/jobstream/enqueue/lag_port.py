"""What a look at the lag of queues reads, as a protocol. The transports implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobstream_processors.ports import Record, TopicPartition


class LagReader(Protocol):
    """Reads what a look needs. Used by one thread at a time; raises whatever fails."""

    takes_time: bool
    """Whether it asks a broker over a network, so that looks have a thread of their own."""

    def mirrors(self) -> Iterable[Record]:
        """What was appended to the offsets topic since the last call, up to its end now."""

    def spans(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """(first offset kept, next offset to be written) of each."""

    def since(self, places: Sequence[TopicPartition], at_ms: int) -> Mapping[TopicPartition, int]:
        """The first offset of each that was appended at `at_ms` or later; its end if none was."""

    def broker_ms(self) -> int:
        """Broker time, as far as it is known here."""

    def close(self) -> None:
        """Disconnect."""
