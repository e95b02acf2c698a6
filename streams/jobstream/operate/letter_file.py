"""Open dead letters as lines of JSON, byte for byte, and back to their topics.

A line holds the letter's key, value and headers in base64, with its queue and partition, and some
fields for people, which an import does not read. It holds secrets as the log does.
"""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TextIO

from jobstream.operate.errors import BadLines
from jobstream.operate.open_letters import letter_records
from jobstream.operate.redrive import BATCH_MAX, publish
from jobstream.operate.scan import headers_or_none
from jobstream_processors.core.headers import HEADERS_MAX
from jobstream_processors.core.identity import utf8_bytes
from jobstream_processors.core.letters import parse_key
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.redrive import Publisher
    from jobstream.operate.view import AppView

FORMAT = 1
LINE_CHARS_MAX = 4_000_000
BYTES_MAX = 1_048_576
LISTED_MAX = 10
SPOOL_BYTES = 16 * 1024 * 1024
"""Lines that were checked wait in memory up to here, then in a file without a name."""


class BadLine(NamedTuple):
    """A line that is no letter of this app."""

    number: int
    """From 1."""
    why: str


@dataclass(slots=True)
class Imported:
    """What became of the lines of a file."""

    written: int = 0
    there: int = 0
    """Letters that were open already, which were left as they are."""
    bad: list[BadLine] = field(default_factory=list)
    """Lines that were skipped."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(id, why) of letters that were not acknowledged: a repeat is safe."""


def lines_of(view: AppView, letters: Iterable[Letter]) -> Iterator[str]:
    """A line for each letter that is open still; blocks while their bytes are read.

    One with a header whose name is not UTF-8, which no letter of ours has, is left out.
    """
    for letter, record in letter_records(view, letters):
        headers = None if record is None else headers_or_none(record)
        if record is None or headers is None:
            continue  # Closed meanwhile; or a stranger's, whose headers can't be had.
        _, partition, _ = letter.place
        yield json.dumps(
            {
                "jobstream_letter": FORMAT,
                "app": view.app,
                "queue": letter.queue,
                "partition": partition,
                "id": letter.id,
                "redrive": letter.redrive,
                "type": letter.job_type or None,
                "fingerprint": letter.fingerprint,
                "reason": letter.carried.reason,
                "error": letter.carried.error,
                "died_ms": letter.died_ms,
                "key": _text(record.key() or b""),
                "value": _text(record.value() or b""),
                "headers": [[name, _text(raw)] for name, raw in headers],
            }
        )


def bounded(file: TextIO) -> Iterator[str]:
    """The lines of a file; of one that is too long only so much that it is refused as such."""
    while piece := file.readline(LINE_CHARS_MAX + 2):
        yield piece
        while piece and not piece.endswith("\n"):
            piece = file.readline(LINE_CHARS_MAX)


def import_lines(
    view: AppView,
    sink: Publisher,
    lines: Iterable[str],
    is_open: Callable[[], Collection[tuple[str, int, bytes]]],
    *,
    skip_bad: bool = False,
) -> Imported:
    """Check every line, then publish the letters that are not open, and block for that.

    `is_open` tells (queue, partition, key) of open letters. Raises BadLines, with nothing written,
    if a line is no letter of this app, unless `skip_bad`. A letter that was imported twice is one.
    """
    done = Imported()
    queues = {queue.name: queue for queue in view.queues()}
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, mode="w+", encoding="utf-8") as spool:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                _outgoing(view.app, queues, line)
            except ValueError as error:
                done.bad.append(BadLine(number, str(error)))
            else:
                spool.write(line.strip() + "\n")
        if done.bad and not skip_bad:
            raise BadLines(_told(done.bad))
        spool.seek(0)
        open_now = set(is_open())
        while batch := list(islice(spool, BATCH_MAX)):
            _write(sink, [_outgoing(view.app, queues, line) for line in batch], open_now, done)
    return done


def _write(
    sink: Publisher,
    batch: Sequence[tuple[str, Outgoing]],
    open_now: set[tuple[str, int, bytes]],
    done: Imported,
) -> None:
    ready: list[Outgoing] = []
    for queue, record in batch:
        place = queue, record.partition, record.key or b""
        if place in open_now:
            done.there += 1
        else:
            open_now.add(place)
            ready.append(record)
    unsent = publish(sink, ready)
    done.written += len(ready) - len(unsent)
    done.failed += [
        ((ready[at].key or b"").decode(errors="replace"), why) for at, why in unsent.items()
    ]


def _outgoing(app: str, queues: Mapping[str, QueueTopics], line: str) -> tuple[str, Outgoing]:
    """The queue and the record of a line; raises ValueError, saying why."""
    if len(line) > LINE_CHARS_MAX:
        _refuse(f"it has {len(line)} characters; at most {LINE_CHARS_MAX}")
    try:
        told: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        message = f"it is no JSON: {str(error)[:80]}"
        raise ValueError(message) from error
    if not isinstance(told, dict) or told.get("jobstream_letter") != FORMAT:
        _refuse(f'it is no letter of `dlq export`: "jobstream_letter" is not {FORMAT}')
    if told.get("app") != app:
        _refuse(f"it is of app {told.get('app')!r:.80}, not of {app!r}")
    queue = queues.get(told["queue"]) if isinstance(told.get("queue"), str) else None
    if queue is None or not queue.dlq:
        _refuse(f"app {app!r} has no queue {told.get('queue')!r:.80}")
    partition, count = told.get("partition"), queue.counts[queue.dlq]
    if type(partition) is not int or not 0 <= partition < count:
        _refuse(f"partition {partition!r:.40} is not from 0 to {count - 1}")
    key, value = _bytes("key", told.get("key")), _bytes("value", told.get("value"))
    if parse_key(key) is None:
        _refuse("its key is not <id>:<redrive>")
    headers = told.get("headers")
    if not isinstance(headers, list) or len(headers) > HEADERS_MAX + 1:
        _refuse(f"its headers are no list of at most {HEADERS_MAX + 1}")
    found = [_header(each) for each in headers]
    size = len(key) + len(value) + sum(len(name) + len(raw) for name, raw in found)
    if size > BYTES_MAX:
        _refuse(f"its record has {size} bytes; at most {BYTES_MAX}")
    return queue.name, Outgoing(queue.dlq, key, value, partition, found)


def _header(told: object) -> tuple[str, bytes]:
    if not isinstance(told, list) or len(told) != 2 or not isinstance(told[0], str):  # noqa: PLR2004
        _refuse("a header is not [name, base64]")
    if told[0] and not utf8_bytes(told[0]):
        # JSON can write half a character, and the Kafka client dies of one: a signal, no exception.
        _refuse(f"the name of header {told[0]!a:.60} is no UTF-8")
    return told[0], _bytes(f"header {told[0]!r:.60}", told[1])


def _bytes(what: str, told: object) -> bytes:
    if not isinstance(told, str):
        _refuse(f"its {what} is no base64")
    try:
        return base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"its {what} is no base64: {error}"
        raise ValueError(message) from error


def _text(raw: bytes | str | None) -> str:
    return base64.b64encode(raw.encode() if isinstance(raw, str) else raw or b"").decode()


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


def _told(bad: list[BadLine]) -> str:
    shown = "\n  ".join(f"line {number}: {why}" for number, why in bad[:LISTED_MAX])
    more = f"\n  and {len(bad) - LISTED_MAX} more" if len(bad) > LISTED_MAX else ""
    return (
        f"{len(bad)} lines are no letters of this app, so nothing was written:\n  {shown}{more}\n"
        "mend them, or leave them out with --skip-bad"
    )
