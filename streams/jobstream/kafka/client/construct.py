"""Constructs clients of the library, and says which setting is wrong where it refuses one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaException

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Client = TypeVar("Client")


def made(kind: Callable[[dict[str, Any]], Client], options: Mapping[str, Any]) -> Client:
    """A client with these options, which connects by itself; raises ConfigError for a bad one."""
    try:
        return kind(dict(options))
    except KafkaException as error:
        message = f"the Kafka client refuses its options: {error.args[0].str()}"
        raise ConfigError(message) from error
