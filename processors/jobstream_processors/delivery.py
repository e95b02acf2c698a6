"""One record of a queue on its way through the worker: what was read and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_processors.core.headers import FIRST

if TYPE_CHECKING:
    from jobstream_processors.context import Context
    from jobstream_processors.core.headers import Headers, Trip
    from jobstream_processors.handlers import JobSpec
    from jobstream_processors.lane import Lane
    from jobstream_schemas import Decoded


class Delivery:
    """A delivery (id, redrive, seq). Mutable, owned by the event loop's thread."""

    __slots__ = (
        "context",
        "crashes",
        "due_ms",
        "headers",
        "holds_key",
        "id",
        "in_child",
        "key",
        "lane",
        "meta",
        "offset",
        "record_key",
        "reported",
        "spec",
        "started_ms",
        "running",
        "trip",
        "trouble",
        "value",
    )

    def __init__(self, lane: Lane, offset: int, value: bytes, record_key: bytes | None) -> None:
        self.lane = lane
        self.offset = offset
        self.value = value
        self.record_key = record_key
        self.headers: Headers | None = None
        self.trip: Trip = FIRST
        self.id = ""
        self.meta: Decoded | None = None
        self.spec: JobSpec | None = None
        self.key: str | None = None
        self.holds_key = False
        self.crashes = 0
        self.in_child = False
        """Run in a child process of its own: it may have killed the partition's last owner."""
        self.due_ms: int | None = None
        """Monotonic; set while it waits to run again in place."""
        self.started_ms = 0
        self.reported = False
        """Its outcome was reported while the handler still runs (past its time limit)."""
        self.running = False
        """Its handler was handed to an executor and has not ended."""
        self.trouble: tuple[str, str] | None = None
        """(reason, message) why it can't be run at all."""
        self.context: Context | None = None

    def args(self) -> Any:  # noqa: ANN401 - generic in the job type
        """The job's arguments, decoded to the declared types; raises DecodeError."""
        assert self.meta is not None  # noqa: S101 - only decoded deliveries are run
        assert self.spec is not None  # noqa: S101 - only deliveries with a handler are run
        return self.meta.args(self.spec.codec)

    def identity(self) -> tuple[bytes, bytes]:
        """(schema fingerprint, digest of the args' bytes); empty for an unreadable record."""
        if self.meta is None:
            return b"", b""
        return self.meta.fingerprint, self.meta.digest()

    @property
    def origin(self) -> tuple[str, int, int]:
        """(topic, partition, offset) of this record."""
        topic, partition = self.lane.source
        return topic, partition, self.offset
