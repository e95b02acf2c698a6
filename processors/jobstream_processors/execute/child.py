"""The child process of the process executor: import the handler, run one job at a time, report.

It holds no Kafka handle unless the handler itself enqueues, and dies with its parent.
"""

from __future__ import annotations

import contextvars
import importlib
import os
import pickle
import runpy
import sys
from multiprocessing.connection import Connection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jobstream_processors.core.outcome import Unstarted
from jobstream_processors.execute.leash import die_with
from jobstream_processors.execute.outliving import outlive_stops
from jobstream_processors.execute.spot import spot_of
from jobstream_processors.execute.user_errors import as_is, told
from jobstream_processors.forked import close_in_child, leave

if TYPE_CHECKING:
    from jobstream_processors.execute.in_child import Handler, Readers
    from jobstream_processors.job_types import Target

READY = b"ready"
"""Says that a handler is imported; else an Unstarted comes, with the reason."""


def main(descriptor: int) -> None:
    """Serve jobs from the pipe until the parent closes it."""
    outlive_stops()
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - so it is called; no program started here keeps it open
    pipe = Connection(descriptor)
    mine = os.getpid()
    try:
        parent, path, script, begin = pickle.loads(pipe.recv_bytes())  # noqa: S301 - our own parent
        die_with(parent)
        # The parent is to see this child's end, not that of a process that a handler forks.
        close_in_child(pipe)
        sys.path[:] = path
        if begin is not None:
            pickle.loads(begin)()  # noqa: S301 - our own parent; found once the path is set
        handlers: dict[Target, Handler] = {}
        readers: Readers | None = None
        while True:
            target, args_class, packed = pickle.loads(pipe.recv_bytes())  # noqa: S301 - our own parent
            if packed is None:
                # Only to be ready: while this took, the worker may have frozen and lost the job.
                found = _find(target, args_class, script)
                if isinstance(found, Unstarted):
                    pipe.send_bytes(pickle.dumps(found))
                    return
                handlers[target] = found
                pipe.send_bytes(READY)
                continue
            from jobstream_processors.execute.in_child import Readers, run  # noqa: PLC0415 - `_find` did

            readers = readers or Readers()
            handed = pickle.loads(packed)  # noqa: S301 - our own parent; nothing of user code is in it
            reader = readers.of(handed)
            pipe.send_bytes(b"starts")
            outcome = contextvars.Context().run(run, handlers[target], handed, reader)
            if os.getpid() != mine:
                # The handler forked, and this is the copy: the pipe is not its to answer on.
                leave()
            pipe.send_bytes(pickle.dumps(outcome))
            del packed, handed, outcome  # While it idles, it keeps nothing of the job.
    except (EOFError, OSError):
        return


def _find(target: Target, args_class: bytes, script: str | None) -> Handler | Unstarted:
    module_name, path, _, _ = target
    try:
        is_script = module_name == "__main__"
        found: Any = _script(script) if is_script else importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
        return _handler(found, target, args_class)
    except BaseException as error:  # noqa: BLE001 - user modules may raise anything on import
        why = f"a child process could not import {module_name}:{path}: {type(error).__name__}"
        return Unstarted("handler_not_importable", f"{why}: {told(error)}", spot_of(error, as_is))


def _handler(found: Any, target: Target, args_class: bytes) -> Handler:  # noqa: ANN401 - an App, a Job or a function
    # Loaded on the child's time: that of the job is limited.
    from jobstream_processors.execute.in_child import Handler  # noqa: PLC0415
    from jobstream_schemas import JobCodec  # noqa: PLC0415

    _, _, job, by_app = target
    spec = found.specs()[job] if by_app else getattr(found, "spec", None)
    if spec is None:
        return Handler(job, found, JobCodec(pickle.loads(args_class), job))  # noqa: S301 - our own parent
    if spec.name != job:
        message = f"it is the handler of {spec.name!r}, not of {job!r}: give each its own name"
        raise LookupError(message)
    return Handler(job, spec.function, spec.codec)


def _script(path: str | None) -> ModuleType:
    """The parent's main script, run under another name so that its main guard stays shut."""
    if path is None:
        message = "the worker has no main script: put the handler into a module of its own"
        raise ImportError(message)
    module = ModuleType("__jobstream_main__")
    module.__dict__.update(runpy.run_path(path, run_name="__jobstream_main__"))
    sys.modules["__main__"].__dict__.update(module.__dict__)
    return module


if __name__ == "__main__":
    main(int(sys.argv[1]))
