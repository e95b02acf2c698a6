"""Where a job that has to wait is written: a rung of its queue's ladder."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError
from jobstream_processors.core.duration import to_ms
from jobstream_processors.core.headers import EPOCH_MS_MAX, Carried, render
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from jobstream_processors.core.duration import Duration
    from jobstream_processors.queue_plan import QueuePlan


def delayed(
    plan: QueuePlan,
    record: Outgoing,
    delay: Duration | None,
    run_at: datetime | None,
    *,
    stays: bool = False,
) -> Outgoing:
    """The record on the ladder, if it has to wait; raises ConfigError for a time that is none.

    With `stays` it goes to its queue all the same: it has something to ask there before it waits.
    """
    if delay is not None and run_at is not None:
        message = "delay and run_at are both given; give one"
        raise ConfigError(message)
    destination = record.partition
    if run_at is not None:
        # Whether that is past, or on which rung it belongs, this machine's clock can't tell. The
        # exact rung is read at once, and its delayer goes by the brokers' time.
        wait_ms, carried = 0, Carried(due_ms=_instant_ms(run_at), partition=destination)
    else:
        wait_ms = to_ms(delay, name="delay") if delay is not None else 0
        carried = Carried(delay_ms=wait_ms, partition=destination)
        if wait_ms <= 0:
            return record
    if stays:
        return record._replace(headers=render(carried))
    topic, partition = plan.rung(wait_ms, destination)
    return Outgoing(topic, record.key, record.value, partition, render(carried))


def _instant_ms(run_at: datetime) -> int:
    if not isinstance(run_at, datetime) or run_at.utcoffset() is None:
        message = f"run_at={run_at!r} is not a datetime with a time zone; give an aware one"
        raise ConfigError(message)
    due_ms = max(0, round(run_at.timestamp() * 1000))
    if due_ms > EPOCH_MS_MAX:
        message = f"run_at={run_at.isoformat()} is too far ahead: give one before 3084-12-12"
        raise ConfigError(message)
    return due_ms
