"""Constructs clients of the library, and says which setting is wrong where it refuses one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, KafkaException

from jobstream.errors import ConfigError
from jobstream.kafka.client.client_options import MASK, is_secret
from jobstream_processors.forked import keep_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Client = TypeVar("Client")


HOW = (
    "mend it in kafka= or JOBSTREAM_KAFKA_*; names and values are librdkafka's, see "
    "docs/reference/settings.md"
)


def made(kind: Callable[[dict[str, Any]], Client], options: Mapping[str, Any]) -> Client:
    """A client with these options, which connects by itself; raises ConfigError for a bad one.

    The error names the option and shows no secret. In a forked child the client is never destroyed:
    its end there stood still, or ended the child (by an assertion, of a consumer that reads).
    """
    try:
        client: Client = _referable(kind)(dict(options))
    except KafkaException as error:
        why = error.args[0].str()
        for name, value in options.items():
            if is_secret(name):
                why = why.replace(str(value), MASK)
        message = f"the Kafka client refuses its options: {why}: {HOW}"
        raise ConfigError(message) from error
    keep_in_child(client)
    return client


@cache
def _referable(kind: Callable[[dict[str, Any]], Client]) -> Callable[[dict[str, Any]], Client]:
    """The same, made so that a weak reference to it is possible: to most of the library's it isn't.

    A subclass written in Python has room for one.
    """
    if not isinstance(kind, type) or kind.__weakrefoffset__:
        return kind
    return type(kind.__name__, (kind,), {"__module__": kind.__module__})


def outsider(options: Mapping[str, Any], more: Mapping[str, Any]) -> Consumer:
    """A consumer that joins no group; nothing is committed under the id that the library wants."""
    own = {
        "group.id": "jobstream-reader",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
    }
    return made(Consumer, {**options, **own, **more})
