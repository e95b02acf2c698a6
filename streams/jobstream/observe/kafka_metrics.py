"""Statistics of the Kafka clients of one process, as metrics and as facts for probes.

The client library hands over a JSON text every few seconds. It is kept as it is and read when
somebody asks; only whether a broker is connected is noted at once.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream.observe.families import counter, gauge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.core import Metric

log = logging.getLogger("jobstream.observe")

EVERY_MS = 2_000
FRESH_S = 3 * EVERY_MS / 1000
"""A client whose statistics are older is not served by its thread now, and tells nothing."""
_UP = '"state":"UP"'
_GROUP = '"cgrp"'
ANSWERED_MS = 3_000
"""A member without a partition gets no assignment: after this time with its coordinator it counts
as joined, since a refusal would have stopped it."""
_LOST = ("txerrs", "rxerrs", "req_timeouts", "disconnects")


@dataclass(slots=True)
class _Heard:
    """The last statistics of one client."""

    text: str = ""
    at: float = 0.0
    up_at: float | None = None
    """When a broker was last connected."""
    up_since: float | None = None
    """Since when one has been connected without a break."""
    joined: bool = False
    """Its group has taken it in at some time."""


class ClientStats:
    """The statistics of this process's clients. Each is written by the thread that serves it."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def options(self, client: str) -> dict[str, Any]:
        """Options that make a client report here; it must be polled all the time, or they pile up.

        `client` is a word of ours, and the label of its metrics.
        """
        heard = self._heard.setdefault(client, _Heard())

        def take(text: str) -> None:
            now = time.monotonic()
            heard.text, heard.at = text, now
            heard.joined = heard.joined or (_GROUP in text and _has_joined(_read(text)))
            if _UP in text:
                heard.up_at = now
                heard.up_since = heard.up_since if heard.up_since is not None else now
            else:
                heard.up_since = None

        return {"statistics.interval.ms": EVERY_MS, "stats_cb": take}

    def has_joined(self, client: str) -> bool:
        """Whether the client's group has taken it in, if only without a partition."""
        heard = self._heard.get(client)
        return heard is not None and heard.joined

    def silent_s(self) -> float | None:
        """Seconds since a broker was last connected to any client; None if none ever was."""
        last = [heard.up_at for heard in list(self._heard.values()) if heard.up_at is not None]
        return time.monotonic() - max(last) if last else None

    def up_s(self) -> float:
        """For how long a broker has been connected without a break, as far as is known now."""
        now = time.monotonic()
        fresh = [h for h in list(self._heard.values()) if h.at and now - h.at <= FRESH_S]
        return max((now - h.up_since for h in fresh if h.up_since is not None), default=0.0)

    def collect(self) -> Iterable[Metric]:
        """The `jobs_kafka_…` families."""
        read = {client: _read(heard.text) for client, heard in list(self._heard.items())}
        brokers = {client: _brokers(found) for client, found in read.items()}
        yield gauge(
            "jobs_kafka_brokers_up",
            [
                ((client,), sum(b.get("state") == "UP" for b in found))
                for client, found in brokers.items()
            ],
        )
        trips = {
            (client, str(broker.get("nodename"))): broker["rtt"]["avg"] / 1e6
            for client, found in brokers.items()
            for broker in found
            if broker.get("rtt", {}).get("cnt")
        }
        yield gauge("jobs_kafka_round_trip_seconds", trips.items())
        yield gauge(
            "jobs_kafka_queued_records",
            [((client,), _queued(found)) for client, found in read.items()],
        )
        yield counter(
            "jobs_kafka_request_errors_total",
            [
                ((client,), sum(broker.get(what, 0) for broker in found for what in _LOST))
                for client, found in brokers.items()
            ],
        )


def _has_joined(found: Mapping[str, Any]) -> bool:
    group = found.get("cgrp") or {}
    return group.get("join_state") == "steady" or (
        group.get("state") == "up" and group.get("stateage", 0) >= ANSWERED_MS
    )


def _read(text: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(text) if text else {}
    except ValueError as error:
        log.warning("statistics_unreadable", extra={"reason": str(error)})
        return {}
    return found


def _brokers(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The brokers by their ids: bootstrap addresses and coordinators are the same ones again."""
    brokers = found.get("brokers", {}).values()
    return [b for b in brokers if b.get("nodeid", -1) >= 0 and b.get("source") != "logical"]


def _queued(found: Mapping[str, Any]) -> int:
    """Records that wait to be sent, or were fetched and not taken."""
    fetched = sum(
        place.get("fetchq_cnt", 0)
        for topic in found.get("topics", {}).values()
        for place in topic.get("partitions", {}).values()
    )
    return int(found.get("msg_cnt", 0)) + int(fetched)
