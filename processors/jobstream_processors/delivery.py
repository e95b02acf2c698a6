"""One record of a queue on its way through the worker: what was read and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_processors.core.headers import FIRST
from jobstream_processors.execute.hidden import Hidden
from jobstream_schemas import args_digest

if TYPE_CHECKING:
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.context import Context
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.headers import Carried, Headers
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.meter import TypeMeter
    from jobstream_processors.ports import Clock, Trace
    from jobstream_schemas import Decoded, Reader


class Delivery:
    """A delivery (id, redrive, seq). Mutable, owned by the event loop's thread.

    Most jobs never leave the defaults, which therefore stand in the class and cost nothing.
    """

    headers: Headers | None = None
    carried: Carried = FIRST
    id: str = ""
    meta: Decoded | None = None
    reader: Reader | None = None
    """Reads events of the schema that wrote this one."""
    spec: JobSpec | None = None
    key: str | None = None
    """The order key it holds or waits for."""
    holds_key: bool = False
    """Its key is freed when its offset is finished, not when its handler ends."""
    crashes: int = 0
    unstarted: int = 0
    """How often in a row no process here could begin it."""
    in_child: bool = False
    """Run in a child process of its own: it may have killed the partition's last owner."""
    due_ms: int | None = None
    """Monotonic; set while it waits to run again in place."""
    expires_ms: int | None = None
    """Broker time from which on it must not start; None where it may at any time."""
    reported: bool = False
    """Its outcome was reported while the handler still runs (past its time limit)."""
    running: bool = False
    """Its handler was handed to an executor and has not ended."""
    decided: Decision | None = None
    """Its decision, on the way to be settled."""
    finished: bool = False
    """Its offset is finished."""
    unwanted: str = ""
    """Who cancelled it while it ran, and why: unless it returns, it ends as cancelled."""
    trouble: tuple[str, str] | None = None
    """(reason, message) why it can't be run at all."""
    context: Context | None = None
    meter: TypeMeter | None = None
    """Where it is counted; None where nobody counts, or its type is not known."""
    appended: float = 0.0
    """When it came to its queue (or was due again in place), in milliseconds of awake time."""
    began: float = 0.0
    """When its handler began, in seconds of awake time; 0 before. Not kept for runs that end
    without ever waiting."""
    trace: Trace | None = None
    """What tracing keeps of it; None where nobody traces."""
    hidden: Hidden | None = None
    """The secret values of its args, once they are read; None where its type has none."""
    awaits: Delivery | None = None
    """A run of the same job in a lane that has ended: this one begins when that is over."""
    awaits_run: bool = False
    """A run of it may go on out of its lane's hands: until that is over it keeps its order key, or
    its place in the chain, and nothing is decided about it."""
    error: BaseException | None = None
    """What its handler raised, until its end is decided: it keeps the handler's frames alive."""
    _identity: tuple[bytes, bytes] | None = None

    def __init__(self, lane: Lane, offset: int, value: bytes, record_key: bytes | None) -> None:
        self.lane = lane
        self.offset = offset
        self.value = value
        self.record_key = record_key

    def args(self) -> Any:  # noqa: ANN401 - generic in the job type
        """The job's arguments, decoded to the declared types; raises DecodeError."""
        assert self.meta is not None, "only decoded deliveries are run"  # noqa: S101
        assert self.reader is not None, "a decoded delivery has a reader"  # noqa: S101
        assert self.spec is not None, "only deliveries with a handler are run"  # noqa: S101
        codec = self.spec.codec
        args = self.reader.args(self.value, self.meta.args_bytes_at, codec)
        if codec.secrets is not None:
            self.hidden = Hidden(codec.secrets(args))
        return args

    def enqueued_ms(self, clock: Clock) -> int:
        """Broker time of the job's first append since its last redrive.

        Nearly exact where a batch was given one time for all; exact where the job may expire.
        """
        if self.carried.enqueued_ms is not None:
            return self.carried.enqueued_ms
        return round(clock.broker_ms() - (clock.awake_s() * 1_000 - self.appended))

    def identity(self) -> tuple[bytes, bytes]:
        """(schema fingerprint, digest of the args' bytes); b"" and all bytes if unreadable."""
        if self._identity is None:
            meta = self.meta
            self._identity = (
                (meta.fingerprint, args_digest(self.value, meta.args_bytes_at))
                if meta is not None
                else (b"", args_digest(self.value, 0))
            )
        return self._identity

    @property
    def origin(self) -> tuple[str, int, int]:
        """(topic, partition, offset) of this record."""
        topic, partition = self.lane.source
        return topic, partition, self.offset


Decided = tuple[Delivery, "Decision"]
"""A delivery, and what is to be settled for it."""
