"""Publishes the hops of one turn, and settles them: what is acknowledged is finished on its rung.

A record that is too large with its traceback goes without it; one that is too large by itself
becomes a dead letter that names the offset where its bytes stand. What is not acknowledged stays on
its rung for a moment, and leaves again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.delay.hop_records import bare_copy_of, copy_of, pointer_of
from jobstream_processors.errors import PublishFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream_processors.delay.delay_meter import DelayMeter
    from jobstream_processors.delay.rung import Hop, Rung
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Clock, Outgoing

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
