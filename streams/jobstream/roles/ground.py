"""What the roles of a process have in common, and what a role is."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobstream.app import App
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.observe.observed import Observed
from jobstream.roles.briefing import Briefing
from jobstream.roles.membership import Membership
from jobstream_processors.assignment.pulse import GuardedSink
from jobstream_processors.core.orders import Order
from jobstream_processors.job_types import JobSpec
from jobstream_processors.queue_plan import QueuePlan


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the command that starts a process wants it to behave."""

    give_up: Callable[[BaseException], object] | None = None
    """Ends this process from another thread while a handler holds the event loop."""
    tracebacks: bool = False
    """Log the traceback of every failed run."""
    child_begins: Callable[[], None] | None = None
    """What a child process does first; it is pickled."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Weights of queues in place of those that the app declares."""
    strict: bool = False
    """Serve the queues in the order in which they are named, whatever their weights."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What every role of a process stands on, during one try to serve."""

    app: App
    plans: Mapping[str, QueuePlan]
    specs: Mapping[str, JobSpec]
    clock: BrokerClock
    reader: KafkaLog
    sink: GuardedSink
    observed: Observed
    membership: Membership
    briefing: Briefing
    stopping: threading.Event
    """Set when the roles are to end, for whatever reason."""
    wishes: Wishes
    left_s: Callable[[], float]
    """What is left of the drain, for what follows it: some seconds at least."""
    leave: Callable[[Order], object]
    """Drain and leave with all roles, since an operator ordered it; from any thread."""
    ready: Callable[[], object] | None = None
    """What the first role calls whenever it has come to serve; None for the others."""


class Role(ABC):
    """One thing that a process does for an app. Made on the event loop's thread, and run once."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def check(self) -> None:  # noqa: B027 - most roles may always begin
        """Look whether it may begin, before any role does; raises what speaks against it."""

    @abstractmethod
    async def run(self) -> None:
        """Do it until asked to stop. Raises what made going on impossible."""

    def stop(self) -> None:  # noqa: B027 - a role may look at `Ground.stopping` by itself
        """Drain and leave: `Ground.stopping` is set by now. Returns at once, from any thread."""
