"""Which waiting jobs can some code not read: judged by a bounded sample; runs no user code.

Only schemas that `check` finds breaking are looked for, so where a deploy broke nothing no record
is read. A job that a worker has sent to wait for other code is not counted: it is judged already.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from jobstream.errors import JobsUndecodable
from jobstream.operate.backlog import SAMPLE_MAX, rounds
from jobstream_processors.core.headers import headers_of, parse
from jobstream_processors.errors import BadHeaders
from jobstream_schemas import DecodeError, MissingExtra, SchemaRefused, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jobstream.operate.positions import GroupPlace
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.ports import Record, TopicPartition
    from jobstream_schemas import Catalogue, JobCodec, Reader

    Spans = Mapping[TopicPartition, tuple[int, int]]
    Judge = Callable[[bytes, int], str]
    """Why args at that byte of a value do not fit; "" if they do."""

SHOWN_MAX = 5
"""Kinds of misfits that a refusal tells."""
FIX = (
    "Make the code read them: give each new field a default, keep old types and members. Or let "
    "workers with the code that wrote them run them first. Or start all the same with "
    "--allow-undecodable (JOBSTREAM_ALLOW_UNDECODABLE=on): the jobs then wait an hour for code "
    "that can read them, and die after it."
)


class Undecodable(NamedTuple):
    """The misfits found in the backlog."""

    misfits: Counter[str]
    """Why → how many jobs of the sample."""
    looked: int
    waiting: int
    """Records that may wait in all; the sample is less where there are many."""


def judges_of(catalogue: Catalogue, specs: Mapping[str, JobSpec]) -> dict[bytes, Judge]:
    """Fingerprint → judge, of each registered schema of which the code may not read all jobs."""
    return {
        reader.fingerprint: reader.misfit(spec.codec)
        for reader in catalogue.readers()
        if (spec := specs.get(reader.job_type)) is not None and _may_misfit(reader, spec.codec)
    }


def _may_misfit(reader: Reader, codec: JobCodec[object]) -> bool:
    ours = codec.schema
    if reader.fingerprint == ours.fingerprint:
        return False
    try:
        # A type that was renamed has another name in its schema, which does no harm here.
        renamed = {**ours.schema, "name": reader.schema["name"]}
        return any(each.is_breaking for each in check(reader.schema, renamed, reader.job_type))
    except (MissingExtra, SchemaRefused):
        return True  # Then the jobs tell.


def look(
    judges: Mapping[bytes, Judge],
    catalogue: Catalogue,
    standings: Iterable[GroupPlace],
    read: Callable[[Spans], Iterator[Record]],
) -> Undecodable:
    """Judge what waits behind each of these places: the oldest records, and some spread behind.

    Blocks as `read` does.
    """
    at = {each.place: each for each in standings if each.unfinished < each.high}
    backlog = {place: (each.unfinished, each.high) for place, each in at.items()}
    misfits: Counter[str] = Counter()
    seen: set[tuple[TopicPartition, int]] = set()
    for spans in _samples(backlog):
        for record in read(spans):
            place, offset = (record.topic() or "", record.partition() or 0), record.offset() or 0
            if (place, offset) in seen or at[place].is_finished(offset):
                continue
            seen.add((place, offset))
            if why := _misfit(judges, catalogue, record):
                misfits[why] += 1
    return Undecodable(misfits, len(seen), sum(stop - start for start, stop in backlog.values()))


def refusal(looked: Undecodable) -> JobsUndecodable:
    """Why not to start, and what to do about it."""
    shown = [
        f"  {count} of the {looked.looked} jobs looked at: {why}"
        for why, count in looked.misfits.most_common(SHOWN_MAX)
    ]
    return JobsUndecodable("\n".join(("jobs wait that this code cannot read:", *shown, FIX)))


def _samples(backlog: Spans) -> list[Spans]:
    """The head of each partition, where the jobs of the code before stand, then a spread."""
    if not backlog:
        return []
    share = max(1, SAMPLE_MAX // len(backlog))
    heads = {
        place: (start, min(start + share, stop))
        for place, (start, stop) in sorted(backlog.items())[:SAMPLE_MAX]
    }
    return [heads, *rounds(backlog, 0)]


def _misfit(judges: Mapping[bytes, Judge], catalogue: Catalogue, record: Record) -> str:
    value = record.value() or b""
    try:
        if parse(headers_of(record)).unknown_since_ms is not None:
            return ""
        decoded = catalogue.decode(value)
    except (BadHeaders, DecodeError):
        return ""
    judge = judges.get(decoded.fingerprint)
    return judge(value, decoded.args_bytes_at) if judge is not None else ""
