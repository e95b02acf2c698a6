"""How a process belongs to its consumer groups: by which protocol, and how long it may stand still.

One is made for each try to serve: a broker that is too old for the newer protocol ends the first.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jobstream.kafka.consume.hearing import Hearing
from jobstream.kafka.consume.member_options import rebalance_ms
from jobstream.kafka.consume.source import KafkaSource
from jobstream.observe.observed import WORKER
from jobstream.topics.names import delay_group, schedule_group, worker_group
from jobstream.topics.sessions import HEARTBEAT, SESSION
from jobstream_processors.assignment.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream.kafka.client.admin import Admin
    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream.observe.observed import Observed
    from jobstream.settings import Settings
    from jobstream_processors.ports import Listener

log = logging.getLogger("jobstream.roles")

STILL_MS_MIN = 500
SESSION_FIX = "set it with: jobstream topics apply MODULE:APP; the broker may have a limit"


class Membership:
    """The groups' side of one try to serve, with the pulse that tells whether it still belongs."""

    def __init__(
        self, app: str, settings: Settings, protocol: str, clock: BrokerClock, observed: Observed
    ) -> None:
        self._app = app
        self._settings = settings
        self._protocol = protocol
        self._clock = clock
        self._observed = observed
        self._still_ms = still_ms(settings.session_timeout_ms, settings.heartbeat_ms)
        self.pulse = Pulse(clock, self._still_ms)

    def believe(self, admin: Admin) -> None:
        """A group's session is what the broker has, whatever this process asks for."""
        if self._protocol != "consumer":
            self.pulse.narrow(self._still_ms)
            return
        wanted_ms = self._settings.session_timeout_ms
        groups = [worker_group(self._app), delay_group(self._app)]
        if self._observed.has_schedules:  # Else nobody set up that group, and nobody is in it.
            groups.append(schedule_group(self._app))
        for group, told in admin.group_configs(*groups).items():
            if SESSION not in told or HEARTBEAT not in told:
                continue  # This client may not see them.
            session_ms = int(told[SESSION])
            self.pulse.narrow(still_ms(session_ms, int(told[HEARTBEAT])))
            if session_ms < wanted_ms:
                extra = {"group": group, "session_ms": session_ms, "wanted_ms": wanted_ms}
                log.warning("session_is_shorter", extra={**extra, "fix": SESSION_FIX})

    def source(
        self, client: str, group: str, topics: Sequence[str]
    ) -> Callable[[Listener], KafkaSource]:
        """What joins the group, to be called on the thread that polls."""
        settings, observed = self._settings, self._observed

        def join(listener: Listener) -> KafkaSource:
            hearing = Hearing()
            if client == WORKER:
                self.pulse.hear_by(hearing.is_silent)
            watched = watched_options(settings, observed, client)
            source = KafkaSource(
                {**settings.client_options(), **hearing.options(watched, self._still_ms)},
                group,
                topics,
                self._clock,
                protocol=self._protocol,
                session_ms=settings.session_timeout_ms,
                heartbeat_ms=settings.heartbeat_ms,
                turn=observed.turn(client),
                rebalance_ms=rebalance_ms(settings.rebalance_drain_ms),
                hearing=hearing,
            )
            source.listen(listener)
            return source

        return join


def watched_options(settings: Settings, observed: Observed, client: str) -> dict[str, Any]:
    """Options that make a client tell statistics, where somebody may ask for them."""
    return observed.stats.options(client) if settings.metrics_port is not None else {}


def still_ms(session_ms: int, heartbeat_ms: int) -> int:
    """How long this process may stand still and still own its partitions."""
    # Others take over a session after the last heartbeat, which is up to one interval old.
    return max(session_ms - heartbeat_ms, STILL_MS_MIN)
