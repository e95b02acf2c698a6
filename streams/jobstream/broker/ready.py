"""Asks a starting broker, by Kafka's own protocol, whether it serves.

It polls until the answer is yes, until the process behind it has ended, or until the deadline. It
asks in the clear and without a password, since every broker of ours has such a listener, whatever
others it has.
"""

import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from jobstream.broker.errors import BrokerStartError

_ASK_S = 0.25


def wait_until_serving(
    bootstrap: str, expected: frozenset[int], *, deadline: float, still_running: Callable[[], None]
) -> None:
    """Block until the broker at `bootstrap` lists all `expected` node numbers as alive.

    `deadline` is in seconds of `time.monotonic()`. `still_running` is called between questions
    and raises when waiting has become pointless. An answer proves that the nodes are registered
    and unfenced, not that every partition has all its replicas in sync again.
    Raises `BrokerStartError` at the deadline.
    """
    admin = _quiet_client(bootstrap)
    seen: frozenset[int] = frozenset()
    while not expected <= seen:
        still_running()
        if time.monotonic() > deadline:
            missing = sorted(expected - seen)
            message = f"nodes {missing} at {bootstrap} did not answer in time"
            raise BrokerStartError(message)
        seen = _listed(admin)


def wait_until_in_sync(
    bootstraps: Sequence[str], expected: frozenset[int], *, deadline: float
) -> None:
    """Block until each address says by itself that nothing is missing anywhere.

    Nothing missing: all `expected` nodes alive, every partition with a leader and with all its
    replicas in sync. Raises `BrokerStartError` at the deadline (seconds of `time.monotonic()`).
    """
    for bootstrap in bootstraps:
        while not _sees_no_gap(bootstrap, expected):
            if time.monotonic() > deadline:
                message = f"seen from {bootstrap}, replicas are still missing: is a node dead?"
                raise BrokerStartError(message)


def _sees_no_gap(bootstrap: str, expected: frozenset[int]) -> bool:
    # A client that knows the cluster may ask any node of it; only a new one asks this node.
    try:
        seen = _quiet_client(bootstrap).list_topics(timeout=_ASK_S)
    except KafkaException:
        return False
    partitions = (part for topic in seen.topics.values() for part in topic.partitions.values())
    return expected <= set(seen.brokers) and all(
        part.leader >= 0 and set(part.isrs) == set(part.replicas) for part in partitions
    )


def serves(bootstrap: str, limit_s: float = 0.0) -> bool:
    """Whether any broker answers at `bootstrap` within a quarter of a second, or `limit_s`."""
    admin, deadline = _quiet_client(bootstrap), time.monotonic() + limit_s
    while not _listed(admin):
        if time.monotonic() >= deadline:
            return False
    return True


def _quiet_client(bootstrap: str) -> AdminClient:
    return AdminClient(
        {
            "bootstrap.servers": bootstrap,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            # A refused connection is what we wait out, not news.
            "log_level": 0,
        }
    )


def _listed(admin: AdminClient) -> frozenset[int]:
    try:
        return frozenset(admin.list_topics(timeout=_ASK_S).brokers)
    except KafkaException:
        return frozenset()
