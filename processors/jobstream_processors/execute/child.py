"""The child process of the process executor: import the handler, run one job at a time, report.

It holds no Kafka handle unless the handler itself enqueues, and dies with its parent.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import importlib
import inspect
import os
import pickle
import runpy
import signal
import sys
from multiprocessing.connection import Connection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jobstream_processors.context import Context
from jobstream_processors.core.outcome import DONE, Done, Outcome, as_is, read
from jobstream_processors.current import name_job
from jobstream_processors.execute.forked import leave
from jobstream_processors.execute.outliving import outlive_stops
from jobstream_processors.hidden import RUNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.context import RunFacts
    from jobstream_processors.handlers import Target
    from jobstream_processors.hidden import Hidden

UNIMPORTABLE = 64
_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Serve jobs from the pipe until the parent closes it."""
    outlive_stops()
    pipe = Connection(descriptor)
    mine = os.getpid()
    try:
        parent, path, script, begin = pickle.loads(pipe.recv_bytes())  # noqa: S301 - our own parent
        _die_with(parent)
        sys.path[:] = path
        if begin is not None:
            pickle.loads(begin)()  # noqa: S301 - our own parent; found once the path is set
        handlers: dict[Target, Callable[..., Any]] = {}
        while True:
            target, packed = pickle.loads(pipe.recv_bytes())  # noqa: S301 - our own parent
            if target not in handlers:
                handlers[target] = _find(target, script)
                # What `_run` needs is loaded on the child's time: that of the job is limited.
                _module("jobstream_processors.handlers")
            if packed is None:
                # Only to be ready: while this took, the worker may have frozen and lost the job.
                pipe.send_bytes(b"ready")
                continue
            args, facts, enter, hidden = pickle.loads(packed)  # noqa: S301 - our own parent
            pipe.send_bytes(b"starts")
            run = contextvars.Context().run
            outcome = run(_run, handlers[target], args, facts, enter, hidden)
            ended = pickle.dumps(outcome)
            if os.getpid() != mine:
                # The handler forked, and this is the copy: the pipe is not its to answer on.
                leave()
            pipe.send_bytes(ended)
    except (EOFError, OSError):
        return


def _run(
    function: Callable[..., Any],
    args: Any,  # noqa: ANN401 - generic in the job type
    facts: RunFacts,
    enter: Callable[[RunFacts], object] | None,
    hidden: Hidden | None,
) -> Outcome:
    from jobstream_processors.handlers import takes_context  # noqa: PLC0415 - loaded by `main`

    clean = RUNS.keep(hidden).clean if hidden is not None else as_is
    name_job(facts)  # in a context of this run alone
    if enter is not None:
        enter(facts)
    try:
        given = (args, Context(facts)) if takes_context(facts.name, function) else (args,)
        result = function(*given)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except BaseException as error:  # noqa: BLE001 - the edge of user code: nothing may pass
        return read(error, clean)
    return DONE if result is None else Done(returned=True)


def _find(target: Target, script: str | None) -> Callable[..., Any]:
    module_name, path, job, by_app = target
    try:
        module = _script(script) if module_name == "__main__" else _module(module_name)
        found: Any = module
        for part in path.split("."):
            found = getattr(found, part)
        return _function(found, job, by_app=by_app)
    except BaseException as error:  # noqa: BLE001 - user modules may raise anything on import
        print(f"jobstream: {module_name}:{path} can't be imported: {error!r}", file=sys.stderr)  # noqa: T201 - the child's only voice
        os._exit(UNIMPORTABLE)


def _function(found: Any, job: str, *, by_app: bool) -> Callable[..., Any]:  # noqa: ANN401 - an App, a Job or a function
    function: Callable[..., Any]
    spec = found.specs()[job] if by_app else getattr(found, "spec", None)
    if spec is not None and spec.name != job:
        message = f"it is the handler of {spec.name!r}, not of {job!r}: two have one name"
        raise LookupError(message)
    function = found if spec is None else spec.function
    return function


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


def _script(path: str | None) -> ModuleType:
    """The parent's main script, run under another name so that its main guard stays shut."""
    if path is None:
        message = "the parent has no main script"
        raise ImportError(message)
    module = ModuleType("__jobstream_main__")
    module.__dict__.update(runpy.run_path(path, run_name="__jobstream_main__"))
    sys.modules["__main__"].__dict__.update(module.__dict__)
    return module


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
