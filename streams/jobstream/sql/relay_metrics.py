"""What a relay tells Prometheus and its probes: numbers that its thread has counted anyway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobstream.observe.families import counter, gauge
from jobstream.observe.health import Check, Probes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from jobstream.sql.relay import Relay

STUCK_S = 120.0


class RelayMetrics:
    """Collected at each scrape; asks nobody."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def collect(self) -> Iterator[Metric]:
        """One family each."""
        relay = self._relay
        yield gauge("jobs_outbox_oldest_seconds", [((), relay.oldest_s)])
        yield gauge("jobs_outbox_rows", [((), relay.seen.rows)])
        yield gauge("jobs_outbox_set_aside_rows", [((), relay.seen.set_aside)])
        yield counter("jobs_outbox_published_total", [((), relay.published)])
        yield counter("jobs_outbox_refused_total", [((), relay.set_aside)])
        yield counter("jobs_outbox_unacknowledged_total", [((), relay.failed)])
        yield gauge("jobs_outbox_held_topics", [((), len(relay.held))])
        yield counter("jobs_inbox_swept_total", [((), relay.swept)])


def probes_of(relay: Relay) -> Probes:
    """Live while its loop comes round, ready while it publishes."""

    def live() -> Sequence[Check]:
        silent_s = time.monotonic() - relay.round_mono
        return [Check("turning", ok=silent_s < STUCK_S, why=f"no turn for {silent_s:.0f} s")]

    def ready() -> Sequence[Check]:
        return [Check("publishing", ok=not relay.trouble, why=relay.trouble)]

    def started() -> Sequence[Check]:
        return [Check("tables", ok=relay.started, why=relay.trouble)]

    def status() -> Mapping[str, object]:
        return {
            "published": relay.published,
            "waiting": relay.seen.rows,
            "oldest_s": round(relay.oldest_s, 3),
            "set_aside": relay.seen.set_aside,
            "held_topics": dict(relay.held),
            "trouble": relay.trouble or None,
        }

    return Probes(live=live, ready=ready, started=started, status=status)
