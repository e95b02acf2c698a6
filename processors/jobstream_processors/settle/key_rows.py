"""The rows of unique keys, which stand before the rows of the jobs that hold them.

A job that leaves for the ladder says that it keeps its key. One that ends, or gives the key up as
it begins, says how far the queue's log goes at this moment: whatever stands before that was
enqueued while the key was held.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.core.decide import (
    DeadLetter,
    End,
    Finish,
    LetGo,
    Postpone,
    Retry,
)
from jobstream_processors.settle.unsent import tell_failed
from jobstream_schemas import Row, encode_row, row_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.key_facts import KeyFacts, KeyRow
    from jobstream_processors.delivery import Decided
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Log, Sent, Sink, TopicPartition


class EndAsked(Protocol):
    """A question for the end of a partition's log, on its way: it is waited for like records."""

    end: int | None
    """The answer; None while there is none, and where there will be none."""

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:
        """Nothing, once there is an answer or none will come; None before that."""


class AsksEnd(Protocol):
    """Asks brokers how far a partition's log goes."""

    def ask(self, place: TopicPartition) -> EndAsked:
        """Ask; returns at once."""


class EndHere:
    """An answer that was there at once."""

    def __init__(self, end: int | None) -> None:
        self.end = end

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:  # noqa: ARG002 - the shape of it
        """Nothing."""
        return {}


class EndsHere:
    """Asks where it is called, and waits for the answer."""

    def __init__(self, reader: Log, _: object = None) -> None:
        self._reader = reader

    def ask(self, place: TopicPartition) -> EndHere:
        """The end, as far as it is known."""
        return EndHere(self._reader.span(place)[1])


Written = tuple["list[int]", "list[tuple[str, KeyFacts]]"]
KeySteps = Generator["Sent", "Mapping[int, PublishFailure]", Written]


class KeyRows:
    """Writes what a batch of decisions of one lane says of unique keys."""

    def __init__(self, sink: Sink, ends: AsksEnd | None) -> None:
        self._sink, self._ends = sink, ends

    def write(self, lane: Lane, items: Sequence[Decided], dedup: str, now_ms: int) -> KeySteps:
        """Returns which of the items, by index, must be settled again: their rows are not written.

        Beside that, what those that are written let the table know.
        """
        wanted = [(at, item) for at, item in enumerate(items) if item[0].unique is not None]
        if not wanted:
            return [], []
        end, undone = 0, []
        if any(_gives_up(item) for _, item in wanted):
            assert self._ends is not None, "who settles unique jobs knows ends of logs"  # noqa: S101
            asked = self._ends.ask(lane.source)
            yield asked
            if asked.end is None:
                undone = [at for at, item in wanted if _gives_up(item)]
                wanted = [each for each in wanted if not _gives_up(each[1])]
            else:
                # What was read was in the log, whatever a new leader says.
                end = max(asked.end, lane.watermark.begun)
        rows = [(at, row) for at, item in wanted for row in _rows(item, end)]
        if not rows:
            return undone, []
        place = dedup, lane.source[1]
        failed = yield self._sink.send_rows(place, [_record(row, now_ms) for _, row in rows])
        if failed:
            tell_failed(failed, lambda _: place)
        facts = [
            (row.name, row.fact()) for index, (_, row) in enumerate(rows) if index not in failed
        ]
        undone += [at for index, (at, _) in enumerate(rows) if index in failed]
        return list(dict.fromkeys(undone)), facts


def _gives_up(item: Decided) -> bool:
    """Whether it frees its key with this: one that ends without a run leaves no effect behind."""
    delivery, decision = item
    stand = delivery.unique
    if stand is None or not stand.holds or stand.freed:
        return False
    if type(decision) in {Finish, LetGo}:
        return True
    return stand.began and type(decision) in {End, DeadLetter}


def _rows(item: Decided, end: int) -> Sequence[KeyRow]:
    delivery, decision = item
    stand, carried = delivery.unique, delivery.carried
    assert stand is not None, "only those that ask for a key come here"  # noqa: S101
    if isinstance(decision, Retry | Postpone):
        moved = decision.carried
        return stand.left(delivery.id, moved.redrive, moved.seq)
    if _gives_up(item):
        return (stand.gave_up(delivery.id, carried.redrive, carried.seq, end),)
    return ()


def _record(row: KeyRow, now_ms: int) -> dict[str, bytes]:
    told = Row(
        kind="unique",
        id=row.job_id,
        state=row.state,
        redrive=row.redrive,
        seq=row.seq,
        at=now_ms,
        due=row.expires_ms,
        detail=row.detail,
    )
    return {"key": row_key(told), "value": encode_row(told)}
