"""Whether this process slept past its session: then others may own its partitions, and it leaves.

A thread of its own beats five times a second, and every publisher checks the last beat. After a
freeze, whichever thread wakes first finds the gap, before anything more is published. A thread that
waits for a slow broker stops no beat.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from jobstream_processors.background import in_background
from jobstream_processors.errors import WorkerStopped
from jobstream_schemas.errors import caused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream_processors.ports import Clock, Outgoing, Sent, Sink, Told, TopicPartition

BEAT_S = 0.2
TOLD_MAX = 5
"""So many handlers are named."""


class Pulse:
    """A dead man's switch. `beat` belongs to one thread, `check` to any."""

    def __init__(self, clock: Clock, session_ms: int) -> None:
        self._clock = clock
        self._session_ms = session_ms
        self._last_ms = clock.monotonic_ms()
        self._stopped = ""
        self._cause: BaseException | None = None
        self._ran_for: Callable[[float], Sequence[str]] = lambda _: ()
        self._leaving = threading.Event()
        self._silence: Callable[[int], bool] = lambda _: False
        self._group_ms: int | None = None
        """The session that the group keeps, less a heartbeat; None while that is not known."""

    def start(self, lost: Callable[[BaseException], object]) -> None:
        """Beat from a thread of its own until `stop`, or until a gap is found.

        Then `lost` is called there with a WorkerStopped. Publishers notice the gap too, but one
        that is blocked on a dead group never gets to check.
        """
        in_background("jobstream-pulse", self._serve, partial(self._ended, lost))

    def narrow(self, session_ms: int) -> None:
        """The group's session is this long: a longer one is assumed no more."""
        self._group_ms = session_ms
        self._session_ms = min(self._session_ms, session_ms)

    def watch(self, ran_for: Callable[[float], Sequence[str]]) -> None:
        """Ask `ran_for`, from any thread, whose handlers ran for so many seconds at a gap."""
        self._ran_for = ran_for

    def beat(self) -> None:
        """Still here; raises WorkerStopped after a gap longer than the session."""
        # One look at the clock: a freeze between two would count as a beat.
        now_ms = self._clock.monotonic_ms()
        self._check(now_ms)
        self._last_ms = now_ms

    def check(self) -> None:
        """Raises WorkerStopped if the last beat is further away than the session, now or ever."""
        self._check(self._clock.monotonic_ms())

    def _check(self, now_ms: int) -> None:
        gap_ms = now_ms - self._last_ms
        if gap_ms > self._session_ms and not self._stopped:
            self._stopped = (
                f"this process stood still for {gap_ms} ms, longer than its session of "
                f"{self._session_ms} ms: others may own its partitions. {self._why(gap_ms)}"
            )
        if self._stopped:
            raise caused(WorkerStopped(self._stopped), self._cause) from self._cause

    def _why(self, gap_ms: int) -> str:
        # One that began right after a beat ran nearly as long.
        names = self._ran_for(gap_ms / 1_000 - 2 * BEAT_S)
        if not names:
            return (
                "No handler of now ran all the while: the process or its machine was suspended, or "
                "one that has ended kept the lock of the interpreter"
            )
        more = f" and {len(names) - TOLD_MAX} more" if len(names) > TOLD_MAX else ""
        return (
            f"Handlers that ran all the while: {', '.join(names[:TOLD_MAX])}{more}. If one of them "
            'keeps the lock of the interpreter, give it executor="process"; else the process or '
            "its machine was suspended"
        )

    def is_lost(self) -> bool:
        """Whether nothing may be started or published any more. For the hot path: never raises."""
        return bool(self._stopped) or self._clock.monotonic_ms() - self._last_ms > self._session_ms

    def hear_by(self, silence: Callable[[int], bool], group_ms: int | None = None) -> None:
        """Ask `silence` whether the group has been silent for so many milliseconds.

        That is asked once the group's session is known: by `narrow`, or here.
        """
        self._silence = silence
        self._group_ms = group_ms if group_ms is not None else self._group_ms

    def is_silent(self) -> bool:
        """Whether the group was silent for so long that it may have given this process up.

        Nothing starts meanwhile. What runs goes on: the group may answer again.
        """
        return self._group_ms is not None and self._silence(self._group_ms)

    def stop(self, reason: str, cause: BaseException | None = None) -> None:
        """Let nothing more be published from now on.

        A caller that tries gets a WorkerStopped with this cause: it may be the first to end.
        """
        self._leaving.set()
        if not self._stopped:
            # In this order: who finds the reason finds its cause.
            self._cause = cause
            self._stopped = reason

    def _serve(self) -> None:
        while not self._leaving.wait(BEAT_S):
            self.beat()

    def _ended(self, lost: Callable[[BaseException], object], error: BaseException) -> None:
        if not self._leaving.is_set():  # what stopped it in the middle of a beat is known
            lost(error)


class GuardedSink:
    """A sink that publishes nothing once the process slept past its session."""

    def __init__(self, sink: Sink, pulse: Pulse) -> None:
        self._sink = sink
        self._pulse = pulse

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """As the sink's; raises WorkerStopped instead when the pulse is lost."""
        self._pulse.check()
        return self._sink.publish(records)

    def publish_soon(self, record: Outgoing, done: Told) -> None:
        """As the sink's; raises WorkerStopped instead when the pulse is lost."""
        self._pulse.check()
        self._sink.publish_soon(record, done)

    def send(self, records: Sequence[Outgoing]) -> Sent:
        """As the sink's; raises WorkerStopped instead when the pulse is lost."""
        self._pulse.check()
        return self._sink.send(records)

    def send_rows(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> Sent:
        """As the sink's; raises WorkerStopped instead when the pulse is lost."""
        self._pulse.check()
        return self._sink.send_rows(place, rows)
