"""`memory(app)`: an app's jobs in a test without Kafka, run when the test says so.

Enqueued jobs go to a broker in memory; `run_until_idle` runs them by the real worker's parts, with
a clock that jumps to whatever is due. Nothing runs between two calls.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.enqueued import Enqueued
from jobstream.job import Job
from jobstream.testing.errors import NotIdle
from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_start import refuse_undecodable
from jobstream.testing.memory_transport import MemoryTransport
from jobstream.testing.memory_worker import MemoryWorker
from jobstream.testing.seen import SeenJob, jobs_of
from jobstream.testing.virtual_clock import VirtualClock
from jobstream.topics.specs import specs
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.known import DEAD, DONE
from jobstream_processors.resources import Resources
from jobstream_schemas.secret import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jobstream.app import App

_QUIET_TURNS = 3
"""A partition is assigned in one turn, started in the next, and delivers in a third."""
_STEP_MS = 100
"""How far the clock goes for a wait that tells no time, such as the flood guard's."""
_SHOWN_MAX = 20
_FAILURES_MAX = 3


class MemoryJobs:
    """The jobs of one app in memory. Used by one thread, which may have a running event loop."""

    def __init__(
        self,
        app: App,
        broker: MemoryBroker | None = None,
        resources: Iterable[object] | None = None,
    ) -> None:
        if broker is None:
            # Times that user code takes from the machine (`run_at`) must mean something here.
            clock = VirtualClock(time.time_ns() // 1_000_000)
            broker = MemoryBroker(clock, wait_ms=clock.advance)
        self.clock = broker.clock
        self.broker = broker
        """Its faults can be switched on: failed and slow publishes, lost partitions."""
        self._app = app
        self._resources = Resources(resources) if resources is not None else None
        self._closed = False
        queues = [app.queues[name] for name in app.plans()]
        for spec in specs(app.name, queues, 1, schedules=app.has_schedules):
            compacted = "compact" in spec.configs["cleanup.policy"]
            if spec.name not in broker.topics():
                broker.create_topic(spec.name, spec.partitions, compacted=compacted)
        refuse_undecodable(app, broker)
        # A thread of its own has no running event loop, whatever the test's thread has.
        self._thread = ThreadPoolExecutor(1, "jobstream-memory")
        self._worker = self._made()

    def run_until_idle(self, *, timeout_s: float = 60.0) -> None:
        """Run jobs until none is left to run; the clock jumps over every delay and retry wait.

        Blocks, for at most about `timeout_s` of real time: then raises NotIdle. An exception that
        would end a worker is raised as it is; those of handlers are retried,
        or end in a dead letter, as their job type says.
        """
        self._thread.submit(self._run, None, timeout_s).result()

    async def arun_until_idle(self, *, timeout_s: float = 60.0) -> None:
        """As `run_until_idle`, without blocking the running event loop."""
        await asyncio.wrap_future(self._thread.submit(self._run, None, timeout_s))

    def run_for(self, duration: Duration, *, timeout_s: float = 60.0) -> None:
        """Let `duration` of virtual time pass and run what is due in it, each at its time."""
        until_ms = self.clock.broker_ms() + to_ms(duration, name="duration")
        self._thread.submit(self._run, until_ms, timeout_s).result()

    def seen(self, of: Job[Any, Any] | Enqueued | str | None = None) -> list[SeenJob]:
        """The jobs in the log, in the order of their first append.

        `of` a job type, one enqueued job, or a job id; all if None. Child jobs are there, too.
        """
        found = jobs_of(self._app, self.broker, self._worker.catalogue_now())
        match of:
            case None:
                return found
            case Job():
                return [job for job in found if job.name == of.name]
            case Enqueued():
                return [job for job in found if job.id == of.job_id]
            case _:
                return [job for job in found if job.id == of]

    def assert_enqueued(
        self,
        of: Job[Any, Any] | Enqueued | str,
        args: Any = None,  # noqa: ANN401 - the job type's own dataclass
        *,
        count: int | None = None,
    ) -> list[SeenJob]:
        """At least one such job (exactly `count`) was enqueued, run since or not; returns them.

        With `args`, only jobs with equal arguments count. Raises AssertionError with what there is.
        """
        __tracebackhide__ = True  # pytest would show the args of this call, secret ones too
        found = [job for job in self.seen(of) if args is None or job.args == args]
        if len(found) == count or (count is None and found):
            return found
        wanted = "at least one" if count is None else f"exactly {count}"
        having = "" if args is None else f" with {shown(args)}"
        claim = f"{wanted} of {_named(of)}{having} should be enqueued; found {len(found)}"
        message = f"{claim}. {self._listing()}"
        raise AssertionError(message)

    def assert_done(self, of: Job[Any, Any] | Enqueued | str) -> list[SeenJob]:
        """There are such jobs and each is done; returns them.

        If not, the message tells what failed last, with its traceback.
        """
        return self._assert_state(of, DONE)

    def assert_dead(self, of: Job[Any, Any] | Enqueued | str, *, why: str = "") -> list[SeenJob]:
        """There are such jobs and each is a dead letter; returns them.

        With `why`, its reason, error class or error message must contain it.
        """
        found = self._assert_state(of, DEAD)
        for job in found:
            told = f"{job.reason}, {job.error}: {job.message}"
            if why not in told:
                message = f"{job.id} died of {told!r}, not of {why!r}{_failures([job])}"
                raise AssertionError(message)
        return found

    def restart(self) -> None:
        """Let the worker leave as in a deploy, and another one take its place."""
        self._thread.submit(self._worker.close).result()
        self._worker = self._made()

    def close(self) -> None:
        """Leave the groups and give the app its own broker back; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._app.bind(None)
        try:
            self._thread.submit(self._worker.close).result()
        finally:
            self._thread.shutdown()

    def _made(self) -> MemoryWorker:
        """A worker, made on its thread; where that fails, the thread ends."""
        made = self._thread.submit(MemoryWorker, self._app, self.broker, None, self._resources)
        try:
            return made.result()
        except BaseException:
            self._thread.shutdown()
            raise

    def _assert_state(self, of: Job[Any, Any] | Enqueued | str, state: str) -> list[SeenJob]:
        found = self.seen(of)
        if found and all(job.state == state for job in found):
            return found
        what = "was not enqueued" if not found else f"is not {state}"
        failed = [job for job in found if job.state != state]
        message = f"{_named(of)} {what}. {self._listing()}{_failures(failed)}"
        raise AssertionError(message)

    def _listing(self) -> str:
        jobs = self.seen()
        lines = [f"{j.id} {j.name}({shown(j.args)}): {j.state} {j.reason}".rstrip() for j in jobs]
        listed = "\n  ".join(lines[:_SHOWN_MAX]) or "none"
        more = f"\n  … and {len(lines) - _SHOWN_MAX} more" if len(lines) > _SHOWN_MAX else ""
        return f"In the log:\n  {listed}{more}"

    def _run(self, until_ms: int | None, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        quiet = 0
        while True:
            if time.monotonic() > deadline:
                message = f"not idle after {timeout_s:g} s. {self._listing()}"
                raise NotIdle(message)
            worked = self._worker.turn()
            if self._worker.sent_away:
                # As under a supervisor: it leaves, and another one comes at once.
                self._worker.close()
                self._worker = MemoryWorker(self._app, self.broker, None, self._resources)
                worked = True
            if worked:
                quiet = 0
                continue
            quiet += 1
            if quiet < _QUIET_TURNS:
                continue
            if not self._jump(until_ms):
                self._worker.show()
                return
            quiet = 0

    def _jump(self, until_ms: int | None) -> bool:
        """Move the clock to what is due next; False if that is nothing, or later than asked for."""
        now_ms = self.clock.broker_ms()
        next_ms = self._worker.next_ms(expiry=until_ms is not None)
        if next_ms is not None:
            next_ms = max(next_ms, now_ms + _STEP_MS) if next_ms <= now_ms else next_ms
        if until_ms is not None and (next_ms is None or next_ms > until_ms):
            self.clock.advance(max(0, until_ms - now_ms))
            return False
        if next_ms is None:
            return False
        self.clock.advance(next_ms - now_ms)
        return True


@contextmanager
def memory(
    app: App,
    broker: MemoryBroker | None = None,
    *,
    resources: Iterable[object] | None = None,
) -> Iterator[MemoryJobs]:
    """Bind `app`, a global one too, to a broker in memory for the length of a `with` block.

    Topics exist as declared when the block begins. At its end what still runs is drained, and the
    app goes back to its own broker; nothing is kept. `executor="process"` runs in this process.

    The app's lifespans run as in a worker; raises LifespanFailed where one does not start. With
    `resources`, none runs, and handlers find these in `ctx.resources`, by their class.

    With the `broker` of another such block, the app finds what was left there: two versions of one
    app play a deploy. Raises JobsUndecodable, as a worker's start does, if jobs wait there that the
    app can't read and its setting `allow_undecodable` is off.
    """
    jobs = MemoryJobs(app, broker, resources)
    app.bind(MemoryTransport(jobs.broker))
    try:
        yield jobs
    finally:
        jobs.close()


def _failures(jobs: list[SeenJob]) -> str:
    """The last errors of the first few of these jobs, as a part of a message."""
    failed = [job for job in jobs if job.error or job.traceback or job.message]
    told = []
    for job in failed[:_FAILURES_MAX]:
        error = ": ".join(text for text in (job.error or job.reason, job.message) if text)
        told.append(f"\n{job.name} {job.id} failed: {error}\n{job.traceback}".rstrip())
    more = f"\n… and {len(failed) - len(told)} more" if len(failed) > len(told) else ""
    return "".join(told) + more


def _named(of: Job[Any, Any] | Enqueued | str) -> str:
    match of:
        case Job():
            return f"job type {of.name!r}"
        case Enqueued():
            return f"job {of.job_id}"
        case _:
            return f"job {of}"
