"""Places where a worker stands still until it is killed, so that a kill hits the right moment.

At `rows` and `copies` only the settling of jobs stops. Polling, committing and heartbeats go on, as
they would if the broker were slow to acknowledge. At `polls` it is the other way round. At `hops`
the delayer stops before it mirrors and commits what the broker has acknowledged.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from jobstream.kafka.consume.source import KafkaSource
from jobstream.kafka.produce.sink import KafkaSink
from jobstream_processors.delay.group_member import GroupMember

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from jobstream_processors.delay.group_member import HeldPartition
    from jobstream_processors.ports import Outgoing, Record, Sent, TopicPartition

SETTLING = "jobstream-settle"
"""The thread that settles; the delayer's copies are none of its."""


def hang_at(place: str) -> None:
    """`rows`: before a row of a job is sent. `copies`: before a copy is sent.

    `polls`: both consumers ask their client for nothing more, once a file `stuck` is there.
    `hops`: before the delayer's first mirror and commit behind a hop.
    """
    if place == "hops":
        _hang_commits()
        return
    if place == "polls":
        _hang_polls()
        return
    ending = {"rows": (".dedup",), "copies": (".dlq", ".0s", ".5s")}[place]
    hangs_rows, send, send_rows = place == "rows", KafkaSink.send, KafkaSink.send_rows

    def hang_or_send(self: KafkaSink, records: Sequence[Outgoing]) -> Sent:
        if any(record.topic.endswith(ending) for record in records):
            _hang()
        return send(self, records)

    def hang_or_send_rows(
        self: KafkaSink, place: TopicPartition, rows: Sequence[dict[str, bytes]]
    ) -> Sent:
        if hangs_rows:
            _hang()
        return send_rows(self, place, rows)

    KafkaSink.send = hang_or_send  # type: ignore[method-assign]
    KafkaSink.send_rows = hang_or_send_rows  # type: ignore[method-assign]


def _hang_polls() -> None:
    folder, poll = Path(os.environ["TRIAL_FOLDER"]), KafkaSource.poll

    def hang_or_poll(self: KafkaSource, limit: int, timeout_s: float) -> Sequence[Record]:
        if (folder / "stuck").exists():
            (folder / f"hung-{threading.get_ident()}").touch()
            threading.Event().wait()
        return poll(self, limit, timeout_s)

    KafkaSource.poll = hang_or_poll  # type: ignore[method-assign]


def _hang_commits() -> None:
    commit = GroupMember._commit  # noqa: SLF001 - the place of the kill: it mirrors first

    def hang_or_commit(
        self: GroupMember[HeldPartition], parts: Collection[HeldPartition], *, wait: bool
    ) -> None:
        if any(each.source[0].endswith(".retry.0s") and each.watermark.position for each in parts):
            _stand_still()
        commit(self, parts, wait=wait)

    GroupMember._commit = hang_or_commit  # type: ignore[method-assign, assignment] # noqa: SLF001 - as above


def _hang() -> None:
    if threading.current_thread().name == SETTLING:
        _stand_still()


def _stand_still() -> None:
    Path(os.environ["TRIAL_FOLDER"], "hung").touch()
    threading.Event().wait()
