"""One record of a queue on its way through the worker: what was read and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_processors.core.headers import FIRST
from jobstream_schemas import args_digest

if TYPE_CHECKING:
    from jobstream_processors.context import Context
    from jobstream_processors.core.headers import Headers, Trip
    from jobstream_processors.handlers import JobSpec
    from jobstream_processors.lane import Lane
    from jobstream_schemas import Decoded, Reader


class Delivery:
    """A delivery (id, redrive, seq). Mutable, owned by the event loop's thread."""

    __slots__ = (
        "_identity",
        "context",
        "crashes",
        "decided",
        "due_ms",
        "finished",
        "headers",
        "holds_key",
        "id",
        "in_child",
        "key",
        "lane",
        "meta",
        "offset",
        "reader",
        "record_key",
        "reported",
        "running",
        "spec",
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
        self.reader: Reader | None = None
        """Reads events of the schema that wrote this one."""
        self.spec: JobSpec | None = None
        self._identity: tuple[bytes, bytes] | None = None
        self.key: str | None = None
        self.holds_key = False
        self.crashes = 0
        self.in_child = False
        """Run in a child process of its own: it may have killed the partition's last owner."""
        self.due_ms: int | None = None
        """Monotonic; set while it waits to run again in place."""
        self.reported = False
        """Its outcome was reported while the handler still runs (past its time limit)."""
        self.running = False
        """Its handler was handed to an executor and has not ended."""
        self.decided = False
        """Its decision is on the way to be settled."""
        self.finished = False
        """Its offset is finished."""
        self.trouble: tuple[str, str] | None = None
        """(reason, message) why it can't be run at all."""
        self.context: Context | None = None

    def args(self) -> Any:  # noqa: ANN401 - generic in the job type
        """The job's arguments, decoded to the declared types; raises DecodeError."""
        assert self.meta is not None, "only decoded deliveries are run"  # noqa: S101
        assert self.reader is not None, "a decoded delivery has a reader"  # noqa: S101
        assert self.spec is not None, "only deliveries with a handler are run"  # noqa: S101
        return self.reader.args(self.value, self.meta.args_bytes_at, self.spec.codec)

    def identity(self) -> tuple[bytes, bytes]:
        """(schema fingerprint, digest of the args' bytes); empty for an unreadable record."""
        if self._identity is None:
            meta = self.meta
            self._identity = (
                (meta.fingerprint, args_digest(self.value, meta.args_bytes_at))
                if meta is not None
                else (b"", b"")
            )
        return self._identity

    @property
    def origin(self) -> tuple[str, int, int]:
        """(topic, partition, offset) of this record."""
        topic, partition = self.lane.source
        return topic, partition, self.offset
