"""Dead letters that are open: the compacted topic read to its end, where a tombstone closes one.

An index is kept without the jobs' bytes, so that a million letters fit; the bytes are read again
for those that are shown or redriven.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from sys import intern
from typing import TYPE_CHECKING, Protocol

from jobstream.operate.errors import NotThere
from jobstream.operate.job_events import type_of
from jobstream.operate.scan import place_of, unmoved
from jobstream_processors.core.closings import closing_in
from jobstream_processors.core.headers import FIRST, Carried, Headers, headers_of, parse
from jobstream_processors.core.letters import POINTER, fingerprint_in, parse_key, release_in
from jobstream_processors.errors import BadHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.scan import Progress
    from jobstream.operate.view import AppView
    from jobstream_processors.core.closings import Closing
    from jobstream_processors.ports import Record, TopicPartition

KEY_HEADER = "js-key"


@dataclass(frozen=True, slots=True)
class Letter:
    """One open dead letter, without the job's bytes."""

    queue: str
    id: str
    """The job's id, or `@topic:partition:offset` where it has none to be trusted."""
    redrive: int
    job_type: str
    """ "" where the bytes do not tell."""
    carried: Carried
    died_ms: int
    """When the letter was appended, milliseconds since the epoch, by the broker."""
    place: tuple[str, int, int]
    """Topic, partition and offset of the letter itself."""
    key: bytes
    """The letter's key: its tombstone has the same."""
    fingerprint: str = ""
    """Of its cause: as its header tells, else computed."""
    release: str = ""
    """The release that gave the job up; "" where the letter does not say."""
    trouble: str = ""
    """Why it is no letter of ours; it can be discarded, not redriven."""


@dataclass(frozen=True, slots=True)
class Original:
    """The job's bytes as they stood on the queue."""

    key: bytes | None
    value: bytes
    headers: Headers


class Follows(Protocol):
    """What hears of every letter and tombstone, those of a partition in their order."""

    def died(self, letter: Letter, before: Letter | None) -> None:
        """Take a letter; `before` is the one of the redrive before, if that is open."""

    def closed(
        self,
        place: TopicPartition,
        name: tuple[str, int],
        letter: Letter | None,
        closing: Closing | None,
        at_ms: int,
    ) -> None:
        """Take the tombstone of the letter `name`, (id, redrive), if that is known still."""


def open_letters(
    view: AppView,
    queues: Iterable[QueueTopics],
    progress: Progress = unmoved,
    trials: Follows | None = None,
) -> list[Letter]:
    """Every open letter of these queues, the oldest first. Blocks while their topics are read.

    `trials` takes what the topics tell of redrives.
    """
    by_topic = {queue.dlq: queue for queue in queues if queue.dlq}
    places = [place for topic, queue in by_topic.items() for place in queue.places(topic)]
    found: dict[tuple[TopicPartition, bytes], Letter] = {}
    for record in view.records(view.cluster.spans(places), progress):
        topic, partition, _ = place_of(record)
        key = record.key() or b""
        place = topic, partition
        if record.value() is None:
            closed = found.pop((place, key), None)
            if trials is not None and (name := parse_key(key)) is not None:
                how = closing_in(_headers(record))
                trials.closed(place, name, closed, how, record.timestamp()[1])
        else:
            letter = letter_of_record(view, by_topic[topic].name, record)
            if trials is not None:
                before = f"{letter.id}:{letter.redrive - 1}".encode("utf-8", "replace")
                trials.died(letter, found.get((place, before)))
            found[place, key] = letter
    return sorted(found.values(), key=lambda letter: (letter.died_ms, letter.place))


def with_originals(
    view: AppView, letters: Iterable[Letter]
) -> Iterator[tuple[Letter, Original | NotThere]]:
    """Each letter with its job's bytes, or why they can't be had any more."""
    for letter, record in letter_records(view, letters):
        if record is None:
            yield letter, NotThere(f"letter {letter.id} was closed in the meantime")
        else:
            try:
                yield letter, _original(view, letter, record)
            except NotThere as error:
                yield letter, error


def letter_headers(view: AppView, letter: Letter) -> Headers:
    """All headers of a letter as they are, none if they can't be read.

    Raises NotThere if it was closed meanwhile.
    """
    for _, record in letter_records(view, [letter]):
        if record is not None:
            return _headers(record)
    message = f"letter {letter.id} was closed in the meantime"
    raise NotThere(message)


def letter_records(
    view: AppView, letters: Iterable[Letter]
) -> Iterator[tuple[Letter, Record | None]]:
    """Read the records of known letters once more, in one pass."""
    wanted = {letter.place: letter for letter in letters}
    spans: dict[TopicPartition, tuple[int, int]] = {}
    for topic, partition, offset in wanted:
        low, high = spans.get((topic, partition), (offset, offset + 1))
        spans[topic, partition] = (min(low, offset), max(high, offset + 1))
    for record in view.records(spans):
        letter = wanted.pop(place_of(record), None)
        if letter is not None:
            yield letter, record
    yield from ((letter, None) for letter in wanted.values())


def letter_of_record(view: AppView, queue: str, record: Record) -> Letter:
    """The letter that a record is, whatever somebody wrote there."""
    key = record.key() or b""
    job_id, _, number = key.decode(errors="replace").rpartition(":")
    carried, trouble, headers = FIRST, "", {}
    try:
        told = headers_of(record) or []
        # Among a million letters none has room for its traceback; its headers are read again.
        carried, headers = replace(parse(told), traceback=""), dict(told)
    except BadHeaders as error:
        trouble = str(error)
    job_type = type_of(view.catalogue, record.value() or b"")
    if not (job_id and number.isascii() and number.isdigit()):
        trouble = trouble or f"key {key[:80]!r} is not <id>:<redrive>"
    return Letter(
        queue=queue,
        id=job_id or key.decode(errors="replace"),
        redrive=carried.redrive,
        job_type=job_type,
        carried=carried,
        died_ms=record.timestamp()[1],
        place=place_of(record),
        key=key,
        # One text for a million letters of a cause.
        fingerprint=intern(fingerprint_in(headers, job_type, carried)),
        release=intern(release_in(headers)),
        trouble=trouble,
    )


def _original(view: AppView, letter: Letter, record: Record) -> Original:
    headers = _headers(record)
    ours = dict(headers)
    if POINTER not in ours:
        return Original(ours.get(KEY_HEADER) or None, record.value() or b"", headers)
    place = pointed_at(ours[POINTER], view.queues(letter.queue)[0])
    start, stop = place[2], place[2] + 1
    low, _ = view.cluster.spans([place[:2]])[place[:2]]
    if low <= start:
        for pointed in view.records({place[:2]: (start, stop)}):
            return Original(pointed.key(), pointed.value() or b"", _headers(pointed))
    message = f"{letter.id}: its original at {place} was deleted by retention; discard the letter"
    raise NotThere(message)


def _headers(record: Record) -> Headers:
    """The headers of a record that was just read; none if they can't be read."""
    try:
        return list(headers_of(record) or [])
    except BadHeaders:
        return []


def pointed_at(raw: bytes | None, queue: QueueTopics) -> tuple[str, int, int]:
    """Topic, partition and offset that a pointer names; raises NotThere for another's topic.

    Headers are hostile input: a pointer must not make one app run another's records.
    """
    topic, _, rest = (raw or b"").decode(errors="replace").partition(":")
    partition, _, offset = rest.partition(":")
    own = {queue.topic, *queue.rungs.values()}
    if topic in own and partition.isdecimal() and offset.isdecimal():
        return topic, int(partition), int(offset)
    message = f"pointer {raw!r} does not name a record of queue {queue.name!r}; discard the letter"
    raise NotThere(message)
