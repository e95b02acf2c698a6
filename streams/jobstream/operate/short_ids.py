"""Finds the job whose id begins with what was given; it looks where the id's time says, first.

The ids that jobstream draws are UUIDv7, which begin with the time: eight characters say it to a
minute. Others that it makes are UUIDv5 and say nothing, so for them all of the log is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.operate.errors import NotThere
from jobstream.operate.history import CLOCK_SLACK_MS, spans_of
from jobstream.operate.ids import begins_with, is_prefix, only_one
from jobstream.operate.scan import unmoved
from jobstream_schemas import DecodeError, parse_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.scan import Progress
    from jobstream.operate.view import AppView
    from jobstream_processors.ports import Record

_TIME_DIGITS = 12
_VERSION_AT = 14
_EARLIEST_MS, _LATEST_MS = 1_577_836_800_000, 4_102_444_800_000
"""From 2020 to 2100: any other time is none, but chance."""


def times_in(prefix: str) -> tuple[int, int] | None:
    """The first and last millisecond that a UUIDv7 beginning like that may carry; None for others.

    A time that no job can have is none.
    """
    if len(prefix) > _VERSION_AT and prefix[_VERSION_AT] != "7":
        return None
    digits = prefix.replace("-", "")[:_TIME_DIGITS]
    first, last = (int(digits.ljust(_TIME_DIGITS, fill), 16) for fill in "0f")
    return (first, last) if last >= _EARLIEST_MS and first <= _LATEST_MS else None


def whole_id(
    view: AppView,
    given: str,
    queues: list[QueueTopics],
    since_ms: int | None,
    progress: Progress = unmoved,
    *,
    records_max: int | None = None,
) -> str:
    """The id that is meant: `given` itself, but where it is the beginning of exactly one.

    Looks from `since_ms` on; without it at the time in the id, and if nothing is found there, at
    everything. Blocks while reading. Raises NotThere where no id begins like that or several do,
    and LookTooLong.
    """
    if not is_prefix(given):
        return given
    meant = times_in(given)
    keyed = {topic for queue in queues for topic in (queue.dedup, queue.dlq)}
    looks: list[tuple[int | None, int | None]] = [(since_ms, None)]
    if since_ms is None and meant is not None:
        looks.insert(0, (max(0, meant[0] - CLOCK_SLACK_MS), meant[1] + CLOCK_SLACK_MS))
    for start, stop in looks:
        spans = spans_of(view, queues, start, stop, records_max)
        found: set[str] = set()
        for record in view.records(spans, progress):
            found.update(_ids(view, record, given, is_keyed=record.topic() in keyed))
        if given in found:
            return given
        if found:
            return only_one(given, found)
    message = f"no job whose id begins with {given!r} is in the log; check the app, or --since"
    raise NotThere(message)


def _ids(view: AppView, record: Record, given: str, *, is_keyed: bool) -> Iterator[str]:
    """The job's id in a record, if it is meant; decodes likely ones only."""
    raw, key, value = given.encode(), record.key() or b"", record.value()
    if raw not in (key if is_keyed else value or b""):
        return
    job_id = _id_in_key(key, value) if is_keyed else _id_in_value(view, value or b"")
    if job_id == given or begins_with(job_id, given):
        yield job_id


def _id_in_key(key: bytes, value: bytes | None) -> str:
    """Of a letter's key, `<id>:<redrive>`, or of a row's."""
    try:
        return parse_row(key, value or b"").id
    except DecodeError:
        return key.rpartition(b":")[0].decode(errors="replace")


def _id_in_value(view: AppView, value: bytes) -> str:
    try:
        return view.catalogue.decode(value).id
    except DecodeError:
        return ""
