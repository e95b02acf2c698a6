"""What a hop of the delayer writes: the job's copy, or a dead letter for what can't be carried.

Records in, records out; nothing is published here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream_processors.core.headers import TRACEBACK, render
from jobstream_processors.core.identity import from_origin
from jobstream_processors.core.letters import POINTER, TOO_LARGE
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from jobstream_processors.core.headers import Carried
    from jobstream_processors.delay.rung import Hop, Rung


def copy_of(rung: Rung, hop: Hop) -> Outgoing:
    """The record of a hop: to the next rung, the queue, or the dead letters."""
    if hop.waiting.trouble:
        return _letter(rung, hop)
    raw = next((raw for name, raw in hop.waiting.record.headers() or () if name == TRACEBACK), b"")
    return _copy(rung, hop, replace(hop.carried, traceback=raw.decode()))


def bare_copy_of(rung: Rung, hop: Hop) -> Outgoing:
    """The same without the traceback, for a record that is too big with it."""
    return _letter(rung, hop) if hop.waiting.trouble else _copy(rung, hop, hop.carried)


def _copy(rung: Rung, hop: Hop, carried: Carried) -> Outgoing:
    record, partition = hop.waiting.record, carried.partition
    headers = render(carried, record.headers())
    if hop.rung is None:
        destination = -1 if partition is None else partition
        return Outgoing(rung.plan.topic, record.key(), record.value(), destination, headers)
    topic, count = rung.plan.rungs[hop.rung]
    destination = -1 if partition is None else partition % count
    return Outgoing(topic, record.key(), record.value(), destination, headers)


def _letter(rung: Rung, hop: Hop) -> Outgoing:
    """A dead letter for a record whose headers can't be read."""
    record = hop.waiting.record
    topic, partition = rung.source
    origin = from_origin(topic, partition, hop.waiting.offset)
    headers = [
        ("js-reason", b"bad_headers"),
        ("js-message", hop.waiting.trouble.encode()[:1_000]),
        ("js-origin", origin[1:].encode()),
        ("js-key", record.key() or b""),
    ]
    count = rung.plan.partitions
    value = record.value() or b""
    return Outgoing(rung.plan.dlq, f"{origin}:0".encode(), value, partition % count, headers)


def pointer_of(rung: Rung, hop: Hop) -> Outgoing:
    """A dead letter for a record too big to copy: it names the offset where the bytes stand."""
    letter = _letter(rung, hop)
    place = f"{rung.source[0]}:{rung.source[1]}:{hop.waiting.offset}".encode()
    headers = [
        ("js-reason", TOO_LARGE.encode()),
        ("js-origin", place),
        (POINTER, place),
    ]
    return letter._replace(value=b"", headers=headers)
