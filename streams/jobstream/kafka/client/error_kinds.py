"""What an error of the client library calls for: a new client, another try, or neither.

And whether a record that was given up may be in the log all the same.

Its own words for that can't be relied on (confluent-kafka 2.16): `retriable()` is true for errors
of transactions alone, and `fatal()` only where a producer breaks.
"""

from __future__ import annotations

from confluent_kafka import KafkaError

from jobstream_processors.errors import PublishFailure

_UNANSWERED = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001 - the library's names
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        # A broker that the others name no more, as one that was frozen: what it had goes with it.
        KafkaError._DESTROY,  # noqa: SLF001
    }
)

# A leader, coordinator or controller moves, replicas catch up, or no broker answered.
_PASSING = _UNANSWERED | frozenset(
    {
        KafkaError._DESTROY_BROKER,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }
)

# What the broker checks before it appends, and what the client finds out before it sends.
_REFUSALS = frozenset(
    {
        KafkaError._INVALID_ARG,  # noqa: SLF001 - likewise
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
    }
)


_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


def failure_of(error: KafkaError) -> PublishFailure:
    """Why a record was not acknowledged."""
    return PublishFailure(error.str(), code=error.name(), too_large=error.code() in _TOO_LARGE)


def is_fatal(error: KafkaError) -> bool:
    """Whether the client that says this is broken for good, and a new one is needed.

    What a producer refuses after it broke, and what a consumer tells, has a code of its own.
    """
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001 - the library's name


def is_unanswered(error: KafkaError) -> bool:
    """Whether no broker answered, which a client says too that has lost all of them for good."""
    return error.code() in _UNANSWERED


def is_passing(error: KafkaError) -> bool:
    """Whether the same question may get another answer soon."""
    return error.retriable() or error.code() in _PASSING


def is_refusal(error: KafkaError) -> bool:
    """Whether a record with this delivery report is certainly in no log.

    False where it cannot be known: the answer got lost, or the client broke with records under way.
    """
    return error.code() in _REFUSALS
