"""Runs handlers in child processes that can be killed, so a time limit is real.

Used for CPU-bound job types, and for suspects: jobs that may have killed the partition's last
owner. A child is kept warm and runs one job at a time; only the death of a child while this worker
lives says anything about its job. Children die with their parent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING

from jobstream_processors.core.outcome import (
    DONE,
    STOPPED,
    Crashed,
    Interrupted,
    Outcome,
    TimedOut,
    Unstarted,
)
from jobstream_processors.execute.child import READY
from jobstream_processors.execute.in_child import HandedJob
from jobstream_processors.execute.outliving import stops_held
from jobstream_processors.execute.running import UNBARRED, Executor, facts_of, measured, no_entry
from jobstream_processors.forked import close_in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.running import Barred, Ended, EnterChild
    from jobstream_processors.job_types import JobSpec, Target
    from jobstream_processors.ports import Machine

log = logging.getLogger("jobstream.worker")

START_S_MAX = 60.0
"""How long a child may take to start and import the handler before it counts as failed."""
ANSWER_BYTES_MAX = 1 << 20
"""An outcome holds texts that are cut to far less."""


class ProcessExecutor(Executor):
    """At most `size` child processes, started on demand."""

    def __init__(
        self,
        size: int,
        ended: Ended,
        barred: Barred = UNBARRED,
        begin: Callable[[], None] | None = None,
        *,
        machine: Machine,
        enter: EnterChild = no_entry,
    ) -> None:
        super().__init__()
        self._size = size
        self.machine = machine
        self.barred = barred
        self.begin = pickle.dumps(begin) if begin is not None else None
        """What a child does before it imports a handler, such as setting up its log."""
        self.enter = enter
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._running: dict[Delivery, _Child] = {}
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()

    def submit(self, delivery: Delivery) -> None:
        """Run it when a child is free."""
        self._waiting.append(delivery)
        self._fill()

    def expire(self) -> None:
        """Nothing to do: each child's thread keeps its own time, which is awake time as well."""

    def interrupt(self, lane: Lane) -> None:
        """Kill the children that run jobs of `lane`."""
        for delivery, child in list(self._running.items()):
            if delivery.lane is lane:
                child.kill_for(Interrupted())

    def stop(self, delivery: Delivery) -> None:
        """Kill the child that runs it; end it at once if it did not start."""
        child = self._running.get(delivery)
        if child is not None:
            child.kill_for(STOPPED)
        elif delivery in self._waiting:
            self._waiting.remove(delivery)
            self._ended(delivery, STOPPED)

    def close(self) -> None:
        """Stop every child."""
        for child in list(self._children):
            child.stop()

    def _fill(self) -> None:
        while self._waiting and (self._idle or len(self._children) < self._size):
            child = self._idle.pop() if self._idle else self._start()
            delivery = self._waiting.popleft()
            self._running[delivery] = child
            child.run(delivery)

    def _start(self) -> _Child:
        child = _Child(self)
        self._children.add(child)
        return child

    def report(self, child: _Child, delivery: Delivery, outcome: Outcome, *, alive: bool) -> None:
        """Called by a child's thread."""
        try:
            self._loop.call_soon_threadsafe(self._take, child, delivery, outcome, alive)
        except RuntimeError:
            child.stop()  # The loop is closed: the worker has left.

    def _take(self, child: _Child, delivery: Delivery, outcome: Outcome, alive: bool) -> None:  # noqa: FBT001 - passed by position through the loop
        del self._running[delivery]
        if alive and not child.condemned:
            self._idle.append(child)
        else:
            self._children.discard(child)
            child.stop()
        measured(delivery, outcome, self.machine.awake_s())
        self._ended(delivery, outcome)
        self._fill()


class _Child:
    """One child process and the thread that talks to it."""

    def __init__(self, pool: ProcessExecutor) -> None:
        self._pool = pool
        self._work: SimpleQueue[Delivery | None] = SimpleQueue()
        self._ending: Outcome | None = None
        """What the run ends as for which it was to be killed. It runs no other: the kill may come
        late, or find no process yet."""
        self._started = False
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._ready_for: set[Target] = set()
        """Handlers that it has imported."""
        self._has_schemas: set[bytes] = set()
        """Fingerprints of the writers' schemas that it was handed."""
        threading.Thread(target=self._serve, name="jobstream-child", daemon=True).start()

    @property
    def condemned(self) -> bool:
        """It was to be killed for one job, and must run no other."""
        return self._ending is not None

    def run(self, delivery: Delivery) -> None:
        self._work.put(delivery)

    def kill_for(self, outcome: Outcome) -> None:
        """Kill it, so that its run ends as `outcome`, whatever comes first."""
        if self._ending is None:
            self._ending = outcome
        self._kill()

    def stop(self) -> None:
        self._work.put(None)
        self._kill()

    def _kill(self) -> None:
        if (process := self._process) is not None:
            process.kill()

    def _serve(self) -> None:
        while (delivery := self._work.get()) is not None:
            try:
                outcome, alive = self._run(delivery)
            except Exception as error:
                # User code may write what it likes to any descriptor of its process.
                log.exception("child_answers_nonsense", extra=delivery.fields())
                outcome, alive = self._death(f"it answered nonsense: {error}"), False
            if not alive:
                self._bury()
            self._pool.report(self, delivery, outcome, alive=alive)
            if not alive:
                return
            del delivery, outcome  # While it idles, it keeps nothing of the job.
        self._bury()

    def _run(self, delivery: Delivery) -> tuple[Outcome, bool]:
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        self._started = False
        if (bar := self._pool.barred(delivery)) is not None:
            return bar, True  # Before its trace tells that it runs; once more when it does.
        try:
            if self._process is None:
                self._spawn()
            pipe = self._pipe
            assert pipe is not None  # noqa: S101 - made by _spawn
            args_class = _by_name(spec)
            if spec.target not in self._ready_for:
                unready = self._make_ready(pipe, spec.target, args_class)
                if unready is not None:
                    return self._ending or unready, False
            if (bar := self._pool.barred(delivery)) is not None:
                return bar, True
            if self._ending is not None:
                return self._ending, True
            pipe.send_bytes(pickle.dumps((spec.target, args_class, self._packed(delivery))))
            return self._await(pipe, delivery, spec.timeout_ms)
        except EOFError as error:
            return self._death(str(error)), False
        except OSError as error:
            return self._death("" if self._process is not None else str(error)), False

    def _packed(self, delivery: Delivery) -> bytes:
        meta, reader = delivery.meta, delivery.reader
        assert meta is not None, "only decoded deliveries are run"  # noqa: S101
        assert reader is not None, "a decoded delivery has a reader"  # noqa: S101
        known = reader.fingerprint in self._has_schemas
        self._has_schemas.add(reader.fingerprint)
        handed = HandedJob(
            delivery.value,
            meta.args_bytes_at,
            reader.fingerprint,
            None if known else reader.schema,
            facts_of(delivery, self._pool.machine.wall_ms()),
            self._pool.enter(delivery),
        )
        return pickle.dumps(handed)

    def _make_ready(self, pipe: Connection, target: Target, args_class: bytes) -> Unstarted | None:
        """Let the child import the handler before it is handed a job, which it starts at once.

        Returns why it can't, if it can't.
        """
        pipe.send_bytes(pickle.dumps((target, args_class, None)))
        answer = self._hear(pipe)
        if answer != READY:
            why: Unstarted = pickle.loads(answer)  # noqa: S301 - from our own child
            return why
        self._ready_for.add(target)
        return None

    def _hear(self, pipe: Connection) -> bytes:
        """Wait for the child to get on; raises EOFError if it does not, or dies."""
        if not pipe.poll(START_S_MAX):
            self._kill()
            message = f"it did not get ready within {START_S_MAX:.0f} s"
            raise EOFError(message)
        return pipe.recv_bytes(ANSWER_BYTES_MAX)

    def _await(self, pipe: Connection, delivery: Delivery, timeout_ms: int) -> tuple[Outcome, bool]:
        self._hear(pipe)  # The handler starts now.
        self._started = True
        delivery.begins(self._pool.machine.awake_s())
        if pipe.poll(timeout_ms / 1000):
            outcome: Outcome = pickle.loads(pipe.recv_bytes(ANSWER_BYTES_MAX))  # noqa: S301 - from our own child
            # The usual end is known by its one object, which a pickle copies.
            return DONE if outcome == DONE else outcome, True
        self._kill()
        return TimedOut(timeout_ms), False

    def _spawn(self) -> None:
        ours, theirs = _pipe()
        command = [sys.executable, "-m", "jobstream_processors.execute.child", str(theirs.fileno())]
        self._pipe = ours
        try:
            with stops_held():
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
                )
        finally:
            theirs.close()
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        ours.send_bytes(pickle.dumps((os.getpid(), list(sys.path), main, self._pool.begin)))

    def _death(self, why: str) -> Outcome:
        """What its end, or its silence, says of the job that it had."""
        self._kill()
        if self._ending is not None:
            return self._ending
        code = self._process.wait() if self._process is not None else None
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if self._started:
            return Crashed(f"its process died: {why or how}")
        return Unstarted("child_not_started", f"the process ended before the handler: {why or how}")

    def _bury(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


def _by_name(spec: JobSpec) -> bytes:
    """The class of its args, for a child that finds the handler and no more; "" if it has no name.

    A child that finds the app has the class from there.
    """
    try:
        return pickle.dumps(spec.codec.cls)
    except (pickle.PicklingError, AttributeError):
        return b""


def _pipe() -> tuple[Connection, Connection]:
    """The worker's end and the child's, of which no process that a handler forks has a copy."""
    ours, theirs = (Connection(end.detach()) for end in socket.socketpair())
    close_in_child(ours)
    close_in_child(theirs)
    return ours, theirs
