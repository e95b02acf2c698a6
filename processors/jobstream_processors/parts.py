"""What a worker is made of. Plain data: it does nothing and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.engine.engine import Failed
from jobstream_processors.job_types import JobSpec
from jobstream_processors.meter import Meter
from jobstream_processors.ports import Clock, Listener, Log, Sink, Source
from jobstream_processors.queue_plan import QueuePlan
from jobstream_processors.watch.tracing import UNTRACED, Tracing
from jobstream_schemas import Catalogue


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a worker is made of; the composition root fills it in."""

    specs: Mapping[str, JobSpec]
    plans: Mapping[str, QueuePlan]
    catalogue: Catalogue
    source: Callable[[Listener], Source]
    """Joins the group; called on the thread that polls."""
    sink: Sink
    takeover: Takeover
    reader: Log
    clock: Clock
    pulse: Pulse
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 200
    children: int = 4
    child_begins: Callable[[], None] | None = None
    """What a child process does first; it is pickled."""
    closer_s: float = 5.0
    """How often dead letters are looked at that a redrive or a late success closed."""
    tracing: Tracing = UNTRACED
    meter: Meter | None = None
    name: str = ""
    """`host:pid`: how operators tell it to be quiet."""
    ready: Callable[[], object] | None = None
    """Called whenever all that is assigned has come to be served; on the thread that polls."""
    failed: Failed | None = None
    tracebacks: bool = False
    """Log the traceback of every failed run, not only at a death."""
    give_up: Callable[[BaseException], object] | None = None
    """Ends this process while a handler holds the event loop, from any thread; None: nobody can."""
    stuck_max: int = 100
    """Runs past their time limit that still hold a slot, before the process is to be replaced."""
