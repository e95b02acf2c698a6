"""What the product takes from `threading`, `queue`, `time` and `concurrent.futures`, simulated.

Each stands for the module or class of the same name, as far as jobstream uses it; what is not here
is the real one's. They wait in virtual time, by the scheduler that is in force.
"""

from __future__ import annotations

import queue as real_queue
import threading as real_threading
import time as real_time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from tests.simulation.runtime import Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.simulation.runtime import Scheduler, Task


class Stage:
    """The scheduler that is in force."""

    scheduler: Scheduler


def here() -> Scheduler:
    return Stage.scheduler


class Lock:
    """Not reentrant; what holds one may let others run."""

    def __init__(self) -> None:
        self._held = False
        self._waiters: deque[Task] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as the real one
        while self._held:
            scheduler = here()
            if not blocking:
                return False
            task = scheduler.task
            if task is not None:
                self._waiters.append(task)
            if not scheduler.block(None if timeout < 0 else timeout):
                return False
        self._held = True
        return True

    def release(self) -> None:
        self._held = False
        while self._waiters:
            task = self._waiters.popleft()
            if task.waiting:
                here().wake(task)
                return

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class RLock(Lock):
    """Reentrant: by the thread, or the event loop's step, that holds it."""

    def __init__(self) -> None:
        super().__init__()
        self._owner: object = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as the real one
        me = here().task or "loop"
        if self._owner is me:
            self._depth += 1
            return True
        if not super().acquire(blocking, timeout):
            return False
        self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            super().release()


class Condition:
    """A condition whose lock is never contended: nobody lets others run while it is held."""

    def __init__(self, lock: object = None) -> None:  # noqa: ARG002 - as the real one
        self._waiters: deque[Task] = deque()

    def acquire(self, *_: object) -> bool:
        return True

    def release(self) -> None:
        pass

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> bool:
        scheduler = here()
        if scheduler.task is not None:
            self._waiters.append(scheduler.task)
        return scheduler.block(timeout)

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:  # noqa: ANN401 - as the real one
        until = None if timeout is None else here().monotonic_us() + round(timeout * 1e6)
        while not (result := predicate()):
            left = None if until is None else (until - here().monotonic_us()) / 1e6
            if left is not None and left <= 0:
                return result
            self.wait(left)
        return result

    def notify(self, n: int = 1) -> None:
        while n and self._waiters:
            task = self._waiters.popleft()
            if task.waiting:
                here().wake(task)
                n -= 1

    def notify_all(self) -> None:
        self.notify(len(self._waiters))


class Event:
    """A flag to wait for."""

    def __init__(self) -> None:
        self._flag = False
        self._waiters: list[Task] = []

    def is_set(self) -> bool:
        return self._flag

    def set(self) -> None:
        self._flag = True
        waiters, self._waiters = self._waiters, []
        for task in waiters:
            here().wake(task)

    def clear(self) -> None:
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        if self._flag:
            return True
        if timeout is not None and timeout <= 0:
            return False
        scheduler = here()
        if scheduler.task is not None:
            self._waiters.append(scheduler.task)
        if not scheduler.block(timeout) and scheduler.task in self._waiters:
            self._waiters.remove(scheduler.task)
        return self._flag


class Thread:
    """A thread is a greenlet of the process that starts it."""

    def __init__(
        self,
        group: None = None,  # noqa: ARG002
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        self._target, self._args, self._kwargs = target, tuple(args), dict(kwargs or {})
        self.name = name or "thread"
        self.daemon = bool(daemon)
        self.ident: int | None = None
        self._task: Task | None = None
        self._ended = Event()

    def start(self) -> None:
        scheduler = here()
        self.ident = 1
        process = scheduler.process or scheduler.world
        self._task = scheduler.spawn(process, self.name, self._main)

    def run(self) -> None:
        if self._target is not None:
            self._target(*self._args, **self._kwargs)

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)

    def is_alive(self) -> bool:
        return self._task is not None and not self._ended.is_set()

    def _main(self) -> None:
        try:
            self.run()
        finally:
            self._ended.set()


class SimpleQueue:
    """Unbounded, first in, first out."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiters: deque[Task] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, ARG002, FBT001, FBT002 - as the real one
        self._items.append(item)
        while self._waiters:
            task = self._waiters.popleft()
            if task.waiting:
                here().wake(task)
                break

    def put_nowait(self, item: Any) -> None:  # noqa: ANN401 - as the real one
        self.put(item, block=False)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401, FBT001, FBT002 - as the real one
        scheduler = here()
        until = None if timeout is None else scheduler.now_us + round(timeout * 1e6)
        while not self._items:
            left = None if until is None else (until - scheduler.now_us) / 1e6
            if not block or (left is not None and left <= 0):
                raise real_queue.Empty
            if scheduler.task is not None:
                self._waiters.append(scheduler.task)
            scheduler.block(left)
        return self._items.popleft()

    def get_nowait(self) -> Any:  # noqa: ANN401 - as the real one
        return self.get(block=False)

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)


class Queue(SimpleQueue):
    """Bounded, where a size is given."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__()
        self.maxsize = maxsize

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, FBT001, FBT002 - as the real one
        if self.maxsize and len(self._items) >= self.maxsize:
            raise real_queue.Full
        super().put(item, block, timeout)


class ThreadPoolExecutor:
    """So many threads that take what was submitted in its order."""

    def __init__(self, max_workers: int | None = None, thread_name_prefix: str = "pool") -> None:
        self._max = max_workers or 4
        self._name = thread_name_prefix
        self._items: deque[tuple[Future[Any], Callable[..., Any], Any, Any]] = deque()
        self._running = 0
        self._closed = False
        self._idle = Event()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - as the real one
        if self._closed:
            message = "cannot schedule new futures after shutdown"
            raise RuntimeError(message)
        future: Future[Any] = Future()
        self._items.append((future, work, args, kwargs))
        if self._running < self._max:
            self._running += 1
            self._idle.clear()
            scheduler = here()
            process = scheduler.process or scheduler.world
            scheduler.spawn(process, self._name, self._serve)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the real one
        self._closed = True
        if cancel_futures:
            while self._items:
                self._items.popleft()[0].cancel()
        if wait and self._running:
            self._idle.wait()

    def _serve(self) -> None:
        try:
            while self._items:
                future, work, args, kwargs = self._items.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    result = work(*args, **kwargs)
                except Killed:
                    raise
                except BaseException as error:  # noqa: BLE001 - whoever waits is told
                    future.set_exception(error)
                else:
                    future.set_result(result)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()


class _Module:
    """The real module, but for what is simulated."""

    def __init__(self, real: Any, **simulated: object) -> None:  # noqa: ANN401 - a module
        self._real = real
        self.__dict__.update(simulated)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        return getattr(self._real, name)


def _clock_ns(clock: int) -> int:
    if clock == real_time.CLOCK_BOOTTIME:
        return here().boottime_us() * 1_000
    if clock == real_time.CLOCK_REALTIME:
        return here().wall_us() * 1_000
    return here().monotonic_us() * 1_000


threading = _Module(
    real_threading, Lock=Lock, RLock=RLock, Condition=Condition, Event=Event, Thread=Thread
)
queue = _Module(real_queue, SimpleQueue=SimpleQueue, Queue=Queue)
time = _Module(
    real_time,
    monotonic=lambda: here().monotonic_us() / 1e6,
    monotonic_ns=lambda: here().monotonic_us() * 1_000,
    perf_counter=lambda: here().monotonic_us() / 1e6,
    perf_counter_ns=lambda: here().monotonic_us() * 1_000,
    time=lambda: here().wall_us() / 1e6,
    time_ns=lambda: here().wall_us() * 1_000,
    clock_gettime_ns=_clock_ns,
    clock_gettime=lambda clock: _clock_ns(clock) / 1e9,
    sleep=lambda seconds: here().sleep(seconds),
)
