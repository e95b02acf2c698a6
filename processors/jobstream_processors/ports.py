"""What the worker needs from the outside, as narrow protocols. The edges implement them.

Records have the shape of a client library's message, so that a real one passes through unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jobstream_processors.core.headers import Carried, Headers
    from jobstream_processors.core.key_facts import KeyFacts
    from jobstream_processors.core.known import Known
    from jobstream_processors.errors import PublishFailure
    from jobstream_schemas import Mirror

TopicPartition = tuple[str, int]
CLOCK_KEY = b"clock"
"""Of a tombstone among the mirrors, published for the time that the broker stamps on it."""


class Record(Protocol):
    """One record of a topic."""

    def topic(self) -> str | None:
        """Its topic."""

    def partition(self) -> int | None:
        """Its partition."""

    def offset(self) -> int | None:
        """Its offset."""

    def key(self) -> bytes | None:
        """Its key."""

    def value(self) -> bytes | None:
        """Its value; None is a tombstone."""

    def headers(self) -> Headers | None:
        """Its headers, None if there are none."""

    def timestamp(self) -> tuple[int, int]:
        """(type, epoch milliseconds); the broker's append time on every topic of ours."""


class Outgoing(NamedTuple):
    """One record to publish. Partition -1 means: by key (murmur2)."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int = -1
    headers: Headers | None = None


class Sent(Protocol):
    """Records that were handed over and may not be acknowledged yet."""

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:
        """What was not acknowledged, by index; None while any record has no answer.

        Waits at most `timeout_s` for the last answer, which comes within 150 s.
        """


Told = Callable[["PublishFailure | None"], object]


class Sink(Protocol):
    """Publishes records."""

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """Block until the broker has acknowledged every record (acks=all).

        Records of one partition are appended in the order given. Returns the offset of the last
        record per partition; raises PublishFailed if any was not acknowledged in time.
        """

    def publish_soon(self, record: Outgoing, done: Told) -> None:
        """Hand a record over and return; it waits for no other.

        `done` hears, on some thread, why it was not acknowledged, or None as it was; that may take
        two minutes.
        """

    def send(self, records: Sequence[Outgoing]) -> Sent:
        """Hand records over, to be acknowledged as by `publish`, and wait for none of them."""

    def send_rows(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> Sent:
        """Hand {"key", "value"} rows of one partition over, and wait for none of them.

        The hot path's way: no headers, no offsets. It, and what it returns, belong to one thread.
        """


class Position(NamedTuple):
    """A committed place: the next offset to read, and a note beside it."""

    offset: int
    note: str = ""


class Listener(Protocol):
    """Hears of assignments on the thread that polls, from inside `Source.poll`."""

    def assigned(self, partitions: Mapping[TopicPartition, Position | None]) -> None:
        """Partitions this member now owns, with what its group committed. They start paused."""

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions to give back by `Source.release`, here or later; they are owned until then.

        Begin to settle them and return soon. A member that keeps them beyond the group's rebalance
        time-out loses them.
        """

    def go_on(self) -> None:
        """One turn while partitions that were revoked are not released yet.

        Called again and again by a source whose client can't go on before they are. `Source.poll`
        may be called from inside, and serves what is not given back.
        """

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions that other members own already: commit nothing."""

    def misplaced(self, partition: TopicPartition, reason: str) -> None:
        """The next offset of a partition is not in its log: nothing of it comes any more."""


class Source(Protocol):
    """One member of a consumer group. Used by one thread only."""

    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Up to `limit` records; waits at most `timeout_s` for the first. Calls the listener.

        Raises SourceFailed when going on can't work.
        """

    def start(self, partition: TopicPartition, offset: int) -> None:
        """Deliver an assigned partition from `offset` on."""

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver nothing from these until resumed."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver again from where it stopped."""

    def commit(self, positions: Mapping[TopicPartition, Position], *, wait: bool) -> None:
        """Commit; with `wait`, block until the coordinator answered or a bound passed."""

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Give back what was revoked: others may own it from now on."""

    def close(self) -> None:
        """Leave the group; the listener hears first, and is to release at once."""


class Log(Protocol):
    """Reads topics outside any group."""

    def read(self, partition: TopicPartition, start: int, stop: int) -> Iterator[Sequence[Record]]:
        """Batches of the records in [start, stop); offsets may have gaps. Blocks while reading.

        A batch may be empty: its reader can look whether to go on.
        """

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        """(first offset kept, next offset to be written)."""

    def topic_id(self, topic: str, *, anew: bool = False) -> str:
        """The broker's id of this incarnation of the topic; "" where the broker has none.

        It may be an answer of before, unless `anew`: then all remembered ids are asked for again.
        The topic may have been replaced since.
        """

    def known_id(self, topic: str) -> str:
        """The id as it was learned last, "" if it never was; asks no broker and never blocks."""

    def since(self, partition: TopicPartition, at_ms: int) -> int:
        """The first offset appended at broker time `at_ms` or later; the log's end if none was."""


class Announced(NamedTuple):
    """The claim of an owner, and the offset below which it may have begun jobs."""

    claim: int
    may_begin: int


class Mirrors(Protocol):
    """The mirrored watermarks, kept in a compacted topic."""

    @property
    def topic(self) -> str:
        """The topic's name."""

    def get(self, group: str, source: TopicPartition, topic_id: str) -> Mirror | None:
        """The newest mirror of that incarnation of the topic; reads to the topic's end."""

    def last_owner(
        self, group: str, source: TopicPartition, topic_id: str, until: int | None
    ) -> Announced | None:
        """The last owner with a claim up to `until` that may have begun jobs, as far as `get` read.

        None if none is known. With `until` None: the one with the highest claim.
        """


class Shard(Protocol):
    """The local part of the dedup table for one partition. Written only after acknowledgement."""

    def get(self, ids: Sequence[str]) -> Sequence[Known | None]:
        """What is known of each id."""

    def put_done(self, rows: Sequence[tuple[str, bytes, bytes]]) -> None:
        """Record (id, fingerprint, digest) as done; done is the strongest fact, so no read."""

    def merge(self, facts: Sequence[tuple[str, Known]]) -> None:
        """Merge facts into what is known."""

    def key_facts(self, name: str) -> KeyFacts:
        """What is known of a unique key."""

    def facts_of_keys(self, names: Sequence[str]) -> Sequence[KeyFacts]:
        """What is known of each of these unique keys, in one read."""

    def keep_key_facts(self, facts: Sequence[tuple[str, KeyFacts]]) -> None:
        """Merge facts about unique keys into what is known of them."""

    def rows(self) -> int:
        """About how many rows it holds; 0 once it is closed. Safe from any thread."""

    def close(self) -> None:
        """Flush and release; a closed shard is opened again warm."""


class Machine(Protocol):
    """Time as this machine has it. It has two kinds, which part while the machine is suspended.

    *Passed* time goes on in a suspended machine, as it does everywhere else: it shows what
    others may have done meanwhile, and how long a wait has lasted. *Awake* time stands still: it
    tells how long something had a chance to run, so a time limit is set and judged by it alone.
    Neither ever goes back, and the two have nothing to do with each other's zero.
    """

    def monotonic_ms(self) -> int:
        """Passed time: the pulse, waits in place, commit intervals, holds."""

    def awake_s(self) -> float:
        """Awake time: time limits and drains of handlers, and how long they took."""

    def wall_ms(self) -> int:
        """The time of day as this machine has it, epoch milliseconds: it may be wrong, and jump.

        Nothing is decided by it; it is shown to code that asks the same clock.
        """


class Clock(Machine, Protocol):
    """Time. Only edges and drivers read it; the core gets it as an argument."""

    def broker_ms(self) -> int:
        """Broker time, epoch milliseconds, as far as it is known: a little behind, never ahead.

        Brokers whose clocks differ count as one: what most of them say.
        """

    def needs_report(self) -> bool:
        """Whether it is a guess, or old: publish something before you act by broker time.

        What the broker stamps on that tells the clock.
        """


class Trace(Protocol):
    """What tracing keeps of one delivery, from its record to its settlement."""

    def carry(
        self, carried: Carried, headers: Headers | None, topic: str
    ) -> tuple[Carried, Headers | None]:
        """Our headers and the foreign ones of the copy that goes to `topic`."""
