"""Publishes the hops of one turn, and settles them: what is acknowledged is finished on its rung.

A record that is too large with its traceback goes without it; one that is too large by itself
becomes a dead letter that names the offset where its bytes stand. What is not acknowledged stays on
its rung for a moment, and leaves again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream_processors.core.headers import TRACEBACK, render
from jobstream_processors.core.identity import from_origin
from jobstream_processors.core.letters import POINTER, TOO_LARGE
from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream_processors.core.headers import Carried
    from jobstream_processors.delay.delay_meter import DelayMeter
    from jobstream_processors.delay.rung import Hop, Rung
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Clock

    Publish = Callable[[Sequence[Outgoing]], None]

log = logging.getLogger("jobstream.delayer")

FAILED_HOLD_MS = 500
"""How long a record rests after its hop was not acknowledged."""


def settle(
    leaving: Sequence[tuple[Rung, Hop]], publish: Publish, clock: Clock, meter: DelayMeter | None
) -> int:
    """Publish these hops all at once, as a publish each would add up their waits.

    Returns how many were made: acknowledged, and finished.
    """
    if not leaving:
        return 0
    failed = _unacknowledged(leaving, publish)
    kept: dict[Rung, list[Hop]] = {}
    now_ms = clock.broker_ms()
    for index, (rung, hop) in enumerate(leaving):
        if index in failed:
            kept.setdefault(rung, []).append(hop)
            continue
        rung.watermark.finish(hop.waiting.offset)
        if meter is not None:
            to = "dlq" if hop.waiting.trouble else hop.rung
            # `run_at` may be any time in the past: nothing is late before it is there.
            wait = hop.waiting.wait
            meter.hopped(rung.plan.name, rung.name, to, now_ms - max(wait.due_ms, wait.appended_ms))
    for rung, hops in kept.items():
        rung.put_back(hops, now_ms + FAILED_HOLD_MS)
    return len(leaving) - len(failed)


def _unacknowledged(leaving: Sequence[tuple[Rung, Hop]], publish: Publish) -> set[int]:
    """Publish, with what stands for hops that were too large; the indexes of those that failed."""
    failed = _failures(dict(enumerate(copy_of(rung, hop) for rung, hop in leaving)), publish)
    for smaller in (bare_copy_of, pointer_of):
        large = [index for index, failure in failed.items() if failure.too_large]
        for index in large:
            del failed[index]
        failed |= _failures({index: smaller(*leaving[index]) for index in large}, publish)
    return set(failed)


def _failures(records: Mapping[int, Outgoing], publish: Publish) -> dict[int, PublishFailure]:
    """Publish `records`; why some of them are not acknowledged."""
    try:
        if records:
            publish([*records.values()])
    except PublishFailed as error:
        log.warning("hop_failed", extra={"jobs": len(error.failures), "reason": str(error)})
        places = [*records]
        return {places[index]: failure for index, failure in error.failures.items()}
    return {}


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
    headers = [("js-reason", TOO_LARGE.encode()), ("js-origin", place), (POINTER, place)]
    return letter._replace(value=b"", headers=headers)
