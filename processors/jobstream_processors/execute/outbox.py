"""What a child process is sent: handlers to get ready for, and jobs, each with its token.

Used on the event loop's thread. It knows what the child has read of that, and so how much lies in
its stream.
"""

from __future__ import annotations

import marshal
import pickle
from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.headers import foreign
from jobstream_processors.execute.crossing import (
    JOB,
    PREPARE,
    HandedJob,
    Preparation,
    framed,
    token_of,
)

if TYPE_CHECKING:
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.line import ChildLine
    from jobstream_processors.execute.running import EnterChild
    from jobstream_processors.job_types import JobSpec


LONG = float("inf")
BEGIN_BY_MS = 500
"""What was handed over begins by then or not at all: a worker that froze, or whose machine did, may
have lost it. A session lasts a second at least."""


class InHand(NamedTuple):
    """A delivery that a child has, and that has not ended."""

    delivery: Delivery
    number: int
    cost_s: float
    """How long it is likely to run; `LONG` where that is not known to be short."""
    handed_s: float
    sent: int
    """How many bytes of jobs its child was sent up to the end of this one."""


class Outbox:
    """What one child is sent."""

    def __init__(self, line: ChildLine, enter: EnterChild) -> None:
        self._line = line
        self._enter = enter
        self._wanted = ("", b"")
        self._routes: dict[tuple[str, bytes], int] = {}
        """Job types whose handlers it has, with the schemas of events it can read for them."""
        self._number = self._read = 0
        """Of the last frame that it was sent, and of the last that it is known to have read."""
        self._sent = self._read_bytes = 0
        """The same in bytes, of jobs alone."""
        self._frames: list[bytes] = []
        self._tokens = bytearray()

    @property
    def unread(self) -> int:
        """How many frames the child may not have read."""
        return self._number - self._read

    @property
    def unread_bytes(self) -> int:
        """How many bytes of jobs it may not have read; some of these were taken back."""
        return self._sent - self._read_bytes

    def knows(self, delivery: Delivery) -> bool:
        """Whether the child has the handler, and can read the event."""
        return _route_of(delivery) in self._routes

    def prepare(self, delivery: Delivery) -> int:
        """Have it get ready for such jobs, now; returns the number of that."""
        spec, reader = spec_of(delivery), delivery.reader
        assert reader is not None, "a decoded delivery has a reader"  # noqa: S101
        self._wanted = _route_of(delivery)
        told = Preparation(
            len(self._routes) + 1, spec.target, _by_name(spec), spec.timeout_ms, reader.schema
        )
        self._put(PREPARE, pickle.dumps(tuple(told)))
        self.flush()
        return self._number

    def is_ready(self) -> None:
        """It is ready for what it was last told to prepare."""
        self._read, self._read_bytes = self._number, self._sent
        self._routes[self._wanted] = len(self._routes) + 1

    def hand(self, delivery: Delivery, cost_s: float, now_s: float, until_ms: int) -> InHand:
        """Put a job down for it; `flush` sends that."""
        self._sent += self._put(JOB, marshal.dumps(tuple(self._packed(delivery, until_ms))))
        return InHand(delivery, self._number, cost_s, now_s, self._sent)

    def has_read(self, handed: InHand) -> None:
        """It has come to this one, and has passed over what was taken back before it."""
        self._read, self._read_bytes = handed.number, handed.sent

    def flush(self) -> None:
        """Send what was put down."""
        if self._frames:
            frames, tokens = b"".join(self._frames), bytes(self._tokens)
            self._frames.clear()
            self._tokens.clear()
            self._line.send(frames, tokens)

    def _put(self, kind: int, body: bytes) -> int:
        self._number += 1
        frame = framed(kind, self._number, body)
        self._frames.append(frame)
        self._tokens.append(token_of(self._number))
        return len(frame)

    def _packed(self, delivery: Delivery, until_ms: int) -> HandedJob:
        meta, reader, carried = delivery.meta, delivery.reader, delivery.carried
        assert meta is not None, "only decoded deliveries are run"  # noqa: S101
        assert reader is not None, "a decoded delivery has a reader"  # noqa: S101
        enter = self._enter(delivery)
        return HandedJob(
            self._routes[_route_of(delivery)],
            until_ms,
            delivery.value,
            meta.args_bytes_at,
            delivery.id,
            str(delivery.lane.queue),
            carried.redrive,
            carried.seq,
            carried.attempt,
            meta.enqueued_at,
            delivery.lane.claim,
            meta.correlation_id,
            delivery.origin,
            reader.secret,
            carried.scheduled_ms,
            pickle.dumps(enter) if enter is not None else None,
            foreign(delivery.headers) if delivery.headers else (),
        )


def _route_of(delivery: Delivery) -> tuple[str, bytes]:
    reader = delivery.reader
    assert reader is not None, "a decoded delivery has a reader"  # noqa: S101
    return spec_of(delivery).name, reader.fingerprint


def spec_of(delivery: Delivery) -> JobSpec:
    """The job type of one that was admitted."""
    spec = delivery.spec
    assert spec is not None, "admitted deliveries have a handler"  # noqa: S101
    return spec


def _by_name(spec: JobSpec) -> bytes:
    """The class of its args, for a child that finds the handler and no more; "" if it has no name.

    A child that finds the app has the class from there.
    """
    try:
        return pickle.dumps(spec.codec.cls)
    except (pickle.PicklingError, AttributeError):
        return b""
