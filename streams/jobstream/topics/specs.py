"""What each topic of an app must be like: partitions, copies and Kafka's topic settings.

Pure: it asks no broker and changes none. Every time of record is the broker's (LogAppendTime), so
that retention counts from the append and a producer's wrong clock deletes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.topics.names import (
    Kind,
    check_name,
    control_topic,
    dedup_topic,
    dlq_topic,
    offsets_topic,
    queue_topic,
    rung_topic,
    schedules_topic,
    schemas_topic,
)
from jobstream_processors.core.ladder import RUNG_MS
from jobstream_processors.core.orders import LASTS_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jobstream.job_queue import Queue

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_MIB = 1_048_576

MESSAGE_BYTES_MAX = 1_048_588
"""Kafka's own default. The enqueue cap is far below it, so that a copy with its headers fits."""
DEAD_LETTERS_KEPT_MS = 30 * _DAY_MS
RUNG_SLACK_MS = 14 * _DAY_MS
"""How long a delayed job outlives its wait when nothing moves it on."""
TOMBSTONES_KEPT_MS = 7 * _DAY_MS
"""A replica that was away for less than this can't bring a deleted key back."""
WINDOW_SLACK_MS_MIN = _HOUR_MS
SCHEDULE_PARTITIONS = 4
"""So many processes share an app's schedules at most; the count never changes."""
SEGMENTS = 24
"""Retention and compaction work on closed segments: a record stays for up to 1/24 longer."""
SEGMENT_MS_MAX = _DAY_MS
MAJORITY_FROM = 3
"""From this many copies on, two must hold a record before it is acknowledged."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic must be like. `configs` has Kafka's names and its text values."""

    name: str
    kind: Kind
    partitions: int
    replication: int
    configs: Mapping[str, str]
    lives_ms: int = 0
    """Records that go earlier than this break a guarantee; 0: the declared retention decides."""


def dedup_window_ms(kept_ms: int) -> int:
    """The dedup window of a queue whose rows are kept for so long; -1 is for ever."""
    if kept_ms < 0:
        return LASTS_MS_MAX
    return max(0, min(kept_ms - WINDOW_SLACK_MS_MIN, kept_ms * 2 // 3))


def in_sync_for(replication: int) -> int:
    """How many of `replication` copies must hold a record before it is acknowledged."""
    return 2 if replication >= MAJORITY_FROM else 1


def specs(
    app: str, queues: Iterable[Queue], replication: int, *, schedules: bool = False
) -> list[TopicSpec]:
    """Every topic of the app, with `replication` copies each; raises ConfigError for a bad name.

    That of schedules only with `schedules`: most apps have none.
    """
    check_name("app name", app)
    of_queues = [spec for queue in queues for spec in _of_queue(app, queue, replication)]
    of_schedules = [_schedules(app, replication)] if schedules else []
    return [*of_queues, *_of_app(app, replication), *of_schedules]


def _of_queue(app: str, queue: Queue, replication: int) -> Iterator[TopicSpec]:
    shared, name = _shared(replication), queue.name

    def spec(topic: str, kind: Kind, configs: dict[str, str], lives_ms: int) -> TopicSpec:
        return TopicSpec(topic, kind, queue.partitions, replication, shared | configs, lives_ms)

    yield spec(queue_topic(app, name), Kind.QUEUE, _deleted(queue.retention_ms), 0)
    for rung, partitions in queue.rung_partitions.items():
        delay_ms = RUNG_MS[rung]
        configs = shared | _deleted(delay_ms + RUNG_SLACK_MS)
        topic = rung_topic(app, name, rung)
        yield TopicSpec(topic, Kind.RUNG, partitions, replication, configs, delay_ms)
    yield spec(dlq_topic(app, name), Kind.DLQ, _dead_letters(), 0)
    window_ms = queue.dedup_ms
    yield spec(dedup_topic(app, name), Kind.DEDUP, _rows(window_ms), window_ms)


def _of_app(app: str, replication: int) -> Iterator[TopicSpec]:
    shared = _shared(replication)
    # Every worker reads the whole mirror at start, and each partition adds a row a second.
    mirror = _compacted(segment_ms=10 * _MINUTE_MS, segment_bytes=16 * _MIB, lag_ms=_HOUR_MS)
    yield TopicSpec(offsets_topic(app), Kind.OFFSETS, 1, replication, shared | mirror)
    schemas = _compacted(segment_ms=_DAY_MS, segment_bytes=16 * _MIB, lag_ms=_DAY_MS)
    yield TopicSpec(schemas_topic(app), Kind.SCHEMAS, 1, replication, shared | schemas)
    # Time removes what expired long ago; what may be in force is younger than that.
    control = _compacted(segment_ms=_DAY_MS, segment_bytes=16 * _MIB, lag_ms=_HOUR_MS) | {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(LASTS_MS_MAX + _DAY_MS),
    }
    place = control_topic(app)
    yield TopicSpec(place, Kind.CONTROL, 1, replication, shared | control, LASTS_MS_MAX)


def _schedules(app: str, replication: int) -> TopicSpec:
    # Each tick adds a record, and a scheduler reads the whole of its partitions.
    rows = _compacted(segment_ms=10 * _MINUTE_MS, segment_bytes=16 * _MIB, lag_ms=_HOUR_MS)
    configs = _shared(replication) | rows
    place = schedules_topic(app)
    return TopicSpec(place, Kind.SCHEDULES, SCHEDULE_PARTITIONS, replication, configs)


def _shared(replication: int) -> dict[str, str]:
    return {
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(in_sync_for(replication)),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
        "compression.type": "producer",
        # A cluster may have a default: it would delete acknowledged jobs by size.
        "retention.bytes": "-1",
    }


def _segments(kept_ms: int) -> str:
    return str(min(max(kept_ms // SEGMENTS, _MINUTE_MS), SEGMENT_MS_MAX))


def _deleted(kept_ms: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(kept_ms),
        "segment.ms": _segments(kept_ms),
    }


def _compacted(*, segment_ms: int, segment_bytes: int, lag_ms: int) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "segment.ms": str(segment_ms),
        "segment.bytes": str(segment_bytes),
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(lag_ms),
        "delete.retention.ms": str(TOMBSTONES_KEPT_MS),
    }


def _compacted_and_deleted(kept_ms: int) -> dict[str, str]:
    return {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(kept_ms),
        "segment.ms": _segments(kept_ms),
        # The cleaner merges segments up to this size, and a merged one lives as long as its
        # youngest record: a large value would keep rows of a quiet queue far past retention.
        "segment.bytes": str(64 * _MIB),
    }


def _dead_letters() -> dict[str, str]:
    return _compacted_and_deleted(DEAD_LETTERS_KEPT_MS) | {
        # A closed letter, which may hold personal data, is gone from disk within days.
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(_DAY_MS),
        "delete.retention.ms": str(TOMBSTONES_KEPT_MS),
    }


def _rows(window_ms: int) -> dict[str, str]:
    kept_ms = window_ms + max(window_ms // 2, WINDOW_SLACK_MS_MIN)
    # `dedup_window_ms` is the way back.
    return _compacted_and_deleted(kept_ms) | {
        # Nearly every row has a key of its own: a lower ratio would copy the whole log over and
        # over and remove next to nothing. Time deletes rows.
        "min.cleanable.dirty.ratio": "0.5",
        "delete.retention.ms": str(kept_ms),
    }
