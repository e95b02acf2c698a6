"""One record of a queue on its way through the worker: what was read and where it stands.

A delivery has one stage, which the engine changes, and only so:

| from | to | when |
|---|---|---|
| TAKEN | HANDED | an executor has it |
| TAKEN | BEHIND | a run of the same job, of an earlier assignment, may go on |
| TAKEN | DECIDED | it ends without a run: unreadable, expired, cancelled and the like |
| TAKEN | FINISHED | a row of the dedup table absorbs it |
| BEHIND | TAKEN | that run is over: the delivery is judged anew |
| HANDED | DECIDED | its run ended, or is past its limit |
| HANDED | TAKEN | it is taken back before it began, or waits in place without a row |
| DECIDED | TAKEN | what it wrote is acknowledged, and it runs again in place |
| DECIDED | FINISHED | what it wrote is acknowledged |
| TAKEN, BEHIND, HANDED, DECIDED | LEFT | its lane drains or has ended: the next owner runs it |

TAKEN and BEHIND may wait, and `waits` says for what (`engine/waiting.py`). Beside the stage stands
one fact: whether a handler that was given up at its time limit still runs.
"""

from __future__ import annotations

from enum import IntEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from jobstream_processors.context import named_by
from jobstream_processors.core.headers import FIRST
from jobstream_processors.hidden import Hidden
from jobstream_schemas import args_digest

if TYPE_CHECKING:
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.context import Context
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.gcra import Metered
    from jobstream_processors.core.headers import Carried, Headers
    from jobstream_processors.core.unique_part import UniquePart
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.meter import QueueMeter, TypeMeter
    from jobstream_processors.ports import Clock, Trace
    from jobstream_schemas import Decoded, Reader


class Stage(IntEnum):
    """How far a delivery has come; the module says which follows which."""

    TAKEN = 0
    """Its offset is begun, and it is in flight here."""
    BEHIND = 1
    """It keeps its order key, or its place in the chain, and nothing is decided about it."""
    HANDED = 2
    """An executor has it, or is about to get it from another thread."""
    DECIDED = 3
    """Its decision is on the way to be settled."""
    FINISHED = 4
    """Its offset is finished."""
    LEFT = 5
    """It is in flight no more, and unfinished."""


TAKEN: Final = Stage.TAKEN
BEHIND: Final = Stage.BEHIND
HANDED: Final = Stage.HANDED
DECIDED: Final = Stage.DECIDED
FINISHED: Final = Stage.FINISHED
LEFT: Final = Stage.LEFT

offset_of = attrgetter("offset")
"""By what deliveries are put in order."""
UNDECIDED: Final[Decision | None] = None
"""A None of its own: mypyc leaves out the default None of a union of more than two types."""


class Delivery:
    """A delivery (id, redrive, seq). Mutable, owned by the event loop's thread.

    Most jobs never leave the defaults, which therefore stand in the class and cost nothing.
    """

    stage: Stage = TAKEN
    waits: str | None = None
    """What it waits for, in one word; None where it does not wait."""
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
    limited: tuple[Metered, ...] = ()
    """The rates that its start counts for, by the names of their rows."""
    unique: UniquePart | None = None
    """How it stands to its unique key; None where its job has none."""
    gated: bool = False
    """The rules of its type, or its own, have a say in when it begins."""
    crashes: int = 0
    unstarted: int = 0
    """How often in a row no process here could begin it."""
    in_child: bool = False
    """Run in a child process of its own: it may have killed the partition's last owner."""
    due_ms: int | None = None
    """Monotonic; set while it waits to run again in place."""
    expires_ms: int | None = None
    """Broker time from which on it must not start; None where it may at any time."""
    outlived: bool = False
    """Its end was reported while its handler still runs, past its time limit."""
    decided: Decision | None = UNDECIDED
    """Its decision, on the way to be settled."""
    unwanted: str = ""
    """Who cancelled it while it ran, and why: unless it returns, it ends as cancelled."""
    trouble: tuple[str, str] | None = None
    """(reason, message) why it can't be run at all."""
    context: Context | None = None
    meter: TypeMeter | None = None
    """Where it is counted; None where nothing counts it, or its type is not known."""
    appended: float = 0.0
    """When it came to its queue (or was due again in place), in milliseconds of awake time."""
    began: float = 0.0
    """When its handler began, in seconds of awake time; 0 before. Not kept for runs that end
    without ever waiting."""
    kept_loop_s: float = 0.0
    """How long a gated one's handler kept the event loop, if it ended without ever waiting."""
    trace: Trace | None = None
    """What tracing keeps of it; None without tracing."""
    hidden: Hidden | None = None
    """The secret values of its args, once they are read; None where its type has none."""
    awaits: Delivery | None = None
    """The run that it is behind, of a lane of this process that has ended; None if elsewhere."""
    error: BaseException | None = None
    """What its handler raised, until its end is decided: it keeps the handler's frames alive."""
    _identity: tuple[bytes, bytes] | None = None

    def __init__(self, lane: Lane, offset: int, value: bytes, record_key: bytes | None) -> None:
        self.lane = lane
        self.offset = offset
        self.value = value
        self.record_key = record_key

    @property
    def running(self) -> bool:
        """Whether its handler was handed to an executor and has not ended."""
        return self.stage is HANDED or self.outlived

    def meant_for(self, spec: JobSpec, counted: QueueMeter | None) -> None:
        """Note the handler of its type, its meter, and the order key that its run needs."""
        self.spec = spec
        meta, reader = self.meta, self.reader
        assert meta is not None, "only decoded deliveries are run"  # noqa: S101
        assert reader is not None, "a decoded delivery has a reader"  # noqa: S101
        if counted is not None:
            self.meter = counted.types.get(reader.job_type) or counted.of(reader.job_type)
        if meta.order_key is not None:
            self.key = meta.order_key
            self.holds_key = spec.policy.holds_key
        if spec.gated or self.unique is not None:
            self.gated = True

    def begins(self, awake_s: float) -> None:
        """Its handler begins, or began, at this awake time."""
        self.began = awake_s

    def kept_loop(self, seconds: float) -> None:
        """Its handler ended without ever waiting, and took so long."""
        self.kept_loop_s = seconds

    def outlives(self) -> None:
        """Its time limit has passed, its handler goes on, and its end is reported now."""
        self.outlived = True

    def failed_with(self, error: BaseException) -> None:
        """Its handler raised this."""
        self.error = error

    def given(self, context: Context) -> Context:
        """Its run has this context; returns it."""
        self.context = context
        return context

    def untraced(self) -> None:
        """Keep no trace of it any more."""
        self.trace = None

    def args(self) -> Any:  # noqa: ANN401 - generic in the job type
        """Decode the job's arguments to the declared types; raises DecodeError."""
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

    def fields(self) -> dict[str, Any]:
        """The fields that name the job in a line about it, as far as they are known."""
        name = self.reader.job_type if self.reader is not None else ""
        if self.spec is not None:
            name = self.spec.name
        given = self.meta.correlation_id if self.meta is not None else None
        attempt, redrive = self.carried.attempt, self.carried.redrive
        return named_by(self.id, name, self.lane.queue, attempt, redrive, self.origin, given)

    def secret_fields(self) -> frozenset[str]:
        """Names of the fields that the job's type marks as secret; empty where none is known."""
        told = self.reader.secret if self.reader is not None else ()
        return frozenset(field for _, field in told)

    @property
    def origin(self) -> tuple[str, int, int]:
        """(topic, partition, offset) of this record."""
        topic, partition = self.lane.source
        return topic, partition, self.offset


Decided = tuple[Delivery, "Decision"]
"""A delivery, and what is to be settled for it."""
