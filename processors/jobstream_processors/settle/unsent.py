"""Tells the log of records that were not acknowledged, each cause once."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import TopicPartition

log = logging.getLogger("jobstream.worker")

NEXT = "their offsets stay unfinished; they are settled again within 2 s, until Kafka takes them"


def tell_failed(
    failed: Mapping[int, PublishFailure], place_of: Callable[[int], TopicPartition]
) -> None:
    """One line for all that failed alike at one place, of records by their index."""
    alike = Counter([(place_of(at), why.code, why.reason) for at, why in failed.items()])
    for (place, code, reason), count in alike.items():
        told = {"partition": place, "code": code, "reason": reason, "jobs": count, "next": NEXT}
        log.warning("publish_failed", extra=told)
