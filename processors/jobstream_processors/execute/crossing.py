"""What crosses between a worker and a child process: frames of bytes, and a token for each.

A job lies in the child's stream until the child takes its token, a byte, from a queue that the
worker can take from as well. The kernel gives a token to one of them: so the worker has back
exactly what the child has not taken, at any time, whatever the child is doing. The child passes
over frames whose tokens were taken back. It says that a handler begins before it does, in a stream
that outlives it: whatever kills the child, what had begun is known.
"""

from __future__ import annotations

import pickle
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream_processors.core.outcome import DONE, RETURNED

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.job_types import Target

HELLO, PREPARE, JOB = b"HPJ"
"""Kinds of frames for a child."""
READY, UNREADY, BEGINS, RETURNS, ENDS, BACK, LEAVES = b"rubdekl"
"""Kinds of answers. `BACK`: it came too late for its job, which has not begun.

`LEAVES` is of no frame: the child takes no more of them."""
UNREAD_MAX = 240
"""Frames in a child's stream that it has not read: a token tells its frame from 255 others."""
ANSWER_BYTES_MAX = 1 << 20
"""An outcome holds texts that are cut to far less."""
RECEIVE_BYTES = 1 << 18

_HANDED = Struct("<BII")
_ANSWER = Struct("<BIdI")
_ANSWERS = frozenset((READY, UNREADY, BEGINS, RETURNS, ENDS, BACK, LEAVES))


class Hello(NamedTuple):
    """The first thing that a child hears."""

    parent: int
    path: list[str]
    script: str | None
    """The worker's main script."""
    begin: bytes | None
    """Pickled: what it calls before it imports a handler."""


class Preparation(NamedTuple):
    """A handler and the schema of events for it, to be ready when a job comes."""

    route: int
    """Jobs name both by this number."""
    target: Target
    args_class: bytes
    """Pickled by name; "" if it has none."""
    timeout_ms: int
    schema: dict[str, Any]


class HandedJob(NamedTuple):
    """A job for a child, of plain values alone: they cross by `marshal`."""

    route: int
    until_ms: int
    """Passed time from which on it must not begin: its worker may have been frozen, and lost it."""
    value: bytes
    args_at: int
    """Where its args begin."""
    job_id: str
    queue: str
    redrive: int
    seq: int
    attempt: int
    enqueued_ms: int
    fencing_token: int
    correlation_id: str | None
    source: tuple[str, int, int]
    secret: frozenset[tuple[str, str]]
    scheduled_ms: int | None
    enter: bytes | None
    """Pickled: called in the child, in the context of the run."""
    headers: tuple[tuple[str, bytes], ...] = ()
    """Of its record, but for our own."""


class Answer(NamedTuple):
    """What a child says of the frame with that number."""

    kind: int
    number: int
    at_s: float
    """When it began, or ended, in awake time."""
    body: bytes


def token_of(number: int) -> int:
    """The byte that gives the right to what the frame with that number holds."""
    return number & 255


def framed(kind: int, number: int, body: bytes) -> bytes:
    """A frame for a child."""
    return _HANDED.pack(kind, number, len(body)) + body


def answered(kind: int, number: int, at_s: float, body: bytes = b"") -> bytes:
    """An answer of a child."""
    return _ANSWER.pack(kind, number, at_s, len(body)) + body


def ended(number: int, at_s: float, outcome: Outcome) -> bytes:
    """The answer of a child whose job ended so; the usual end is one byte."""
    if outcome is DONE:
        return _ANSWER.pack(RETURNS, number, at_s, 0)
    return answered(ENDS, number, at_s, pickle.dumps(outcome))


def outcome_in(answer: Answer) -> Outcome:
    """How a job ended; raises anything where this is no answer of ours."""
    if answer.kind == RETURNS:
        return DONE
    outcome: Outcome = pickle.loads(answer.body)  # noqa: S301 - from our own child
    # The usual ends are known by their one object, which a pickle copies.
    return next((usual for usual in (DONE, RETURNED) if outcome == usual), outcome)


class Inbox:
    """The frames that a child was sent, as they come."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._held = b""
        self._at = 0

    def next(self) -> tuple[int, int, bytes]:
        """(kind, number, body) of the next frame; blocks. Raises EOFError at the end."""
        kind, number, size = _HANDED.unpack(self._take(_HANDED.size))
        return kind, number, self._take(size)

    def of(self, token: int) -> tuple[int, int, bytes]:
        """The same of the frame that this token stands for; what lies before it was taken back."""
        while True:
            frame = self.next()
            if token_of(frame[1]) == token:
                return frame

    def _take(self, size: int) -> bytes:
        at, end = self._at, self._at + size
        if end > len(self._held):
            self._fetch(end)
            at, end = 0, size
        taken = self._held[at:end]
        if end == len(self._held):
            self._held, end = b"", 0  # While it idles, a child keeps nothing of a job.
        self._at = end
        return taken

    def _fetch(self, end: int) -> None:
        pieces, missing = [self._held[self._at :]], end - len(self._held)
        while missing > 0:
            piece = self._receive(RECEIVE_BYTES)
            if not piece:
                raise EOFError
            pieces.append(piece)
            missing -= len(piece)
        self._held, self._at = b"".join(pieces), 0


class AnswerStream:
    """The answers of a child, as they come."""

    def __init__(self) -> None:
        self._rest = b""
        self.nonsense = ""
        """What came that is no answer: nothing that follows it can be read.

        User code may write what it likes to any descriptor of its process.
        """

    def take(self, data: bytes) -> list[Answer]:
        """The answers that are whole with `data`, up to the first that is none."""
        data, at, found = self._rest + data, 0, []
        last = len(data) - _ANSWER.size
        while at <= last:
            kind, number, at_s, size = _ANSWER.unpack_from(data, at)
            end = at + _ANSWER.size + size
            if kind not in _ANSWERS or size > ANSWER_BYTES_MAX:
                self.nonsense = f"an answer of kind {kind} and {size} bytes"
                break
            if end > len(data):
                break
            found.append(Answer(kind, number, at_s, data[end - size : end]))
            at = end
        self._rest = data[at:]
        return found
