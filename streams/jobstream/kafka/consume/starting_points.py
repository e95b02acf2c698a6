"""What a member asks of the brokers about partitions it was given: committed offsets, log ends.

It asks inside a rebalance, when brokers may just have died: a coordinator has moved, a partition
has no leader, the client's leader epoch is older than the broker's. Such answers are no answers,
and it asks again for a while.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_END, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.errors import SourceFailed
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import Consumer

    from jobstream_processors.ports import TopicPartition

WAIT_S = 25.0
"""How long each of the two questions is repeated, give or take the last attempt."""
ATTEMPT_S = 5.0
AGAIN_S = 0.1
NO_OFFSET = "the brokers tell no offset"
"""What is said of a partition that can't be begun for it."""
_FINAL = frozenset(
    (
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
    )
)
"""Asking again would be answered the same."""


def committed(consumer: Consumer, places: Iterable[Place]) -> dict[TopicPartition, Position | None]:
    """What the group has committed, per partition; None where it has nothing.

    Blocks for WAIT_S at most. Raises SourceFailed if one stays unanswered.
    """
    answers = _ask(places, lambda asked: consumer.committed(asked, timeout=ATTEMPT_S))
    return {
        place: Position(found.offset, found.metadata or "") if found.offset >= 0 else None
        for place, found in answers.items()
    }


def log_ends(consumer: Consumer, places: Iterable[Place]) -> dict[TopicPartition, int]:
    """The next offset to be written, per partition; blocks and raises as `committed` does."""
    answers = _ask(places, lambda some: ask_ends(consumer, some, ATTEMPT_S))
    return {place: found.offset for place, found in answers.items()}


def ask_ends(consumer: Consumer, places: Iterable[Place], timeout_s: float) -> list[Place]:
    """The same asked once: each place with its end, or an error. Raises KafkaException."""
    asked = [Place(place.topic, place.partition, OFFSET_END) for place in places]
    return consumer.offsets_for_times(asked, timeout=timeout_s)


def _ask(
    places: Iterable[Place], ask: Callable[[list[Place]], list[Place]]
) -> Mapping[TopicPartition, Place]:
    """The answer for each place; those without one are asked for again."""
    answers: dict[TopicPartition, Place] = {}
    waiting, until, pause = list(places), time.monotonic() + WAIT_S, threading.Event()
    while waiting:
        why: KafkaError | None = None
        try:
            found = ask(waiting)
        except KafkaException as error:
            why = error.args[0]
        else:
            answers |= {(p.topic, p.partition): p for p in found if p.error is None}
            waiting = [place for place in waiting if (place.topic, place.partition) not in answers]
            why = next((p.error for p in found if p.error is not None), None)
        final = why is not None and why.code() in _FINAL
        if waiting and (final or time.monotonic() > until):
            place, said = waiting[0], why.str() if why is not None else "no answer"
            text = f"{place.topic} [{place.partition}]: {NO_OFFSET}: {said}"
            raise SourceFailed(text)
        if waiting:
            pause.wait(AGAIN_S)
    return answers
