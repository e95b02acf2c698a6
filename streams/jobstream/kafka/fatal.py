"""Tells errors after which a client never works again from those it recovers from by itself."""

from __future__ import annotations

from confluent_kafka import KafkaError


def is_fatal(error: KafkaError) -> bool:
    """Whether the client that says this is broken for good, and a new one is needed.

    An error calls itself fatal only where a producer breaks. What it refuses after that, and what a
    consumer tells, has a code of its own instead (confluent-kafka 2.16).
    """
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001 - the library's name
