"""The child process of the process executor: import handlers, run one job at a time, report.

It holds no Kafka handle unless the handler itself enqueues, and dies with its parent.
"""

from __future__ import annotations

import contextvars
import importlib
import marshal
import os
import pickle
import runpy
import socket
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jobstream_processors.core.outcome import Unstarted
from jobstream_processors.execute import child_end
from jobstream_processors.execute.crossing import (
    BACK,
    BEGINS,
    LEAVES,
    PREPARE,
    READY,
    UNREADY,
    HandedJob,
    Hello,
    Inbox,
    Preparation,
    answered,
    ended,
)
from jobstream_processors.execute.leash import die_with
from jobstream_processors.execute.outliving import outlive_stops
from jobstream_processors.execute.spot import spot_of
from jobstream_processors.execute.user_errors import as_is, told
from jobstream_processors.forked import close_in_child, leave
from jobstream_processors.machine_time import awake_s, monotonic_ms

if TYPE_CHECKING:
    from jobstream_processors.execute.child_lifespans import ChildLifespans
    from jobstream_processors.execute.in_child import Handler, Route
    from jobstream_processors.job_types import Target


class Service:
    """Serves jobs, one after the other, until the worker closes the stream."""

    def __init__(self, stream: socket.socket, tokens: socket.socket, hello: Hello) -> None:
        self._stream, self._tokens = stream, tokens
        self._script = hello.script
        self._mine = os.getpid()
        self._handlers: dict[Target, Handler] = {}
        self._routes: dict[int, Route] = {}
        self._shared: ChildLifespans | None = None
        """What its handlers share; None where their app has no lifespans."""
        self._said = b""
        """How the last job ended: told together with what comes next, or at once if nothing is
        there."""

    def serve(self, inbox: Inbox) -> None:
        """Take one token after the other; returns when the worker has left.

        Or, having told so, when what its handlers share has ended.
        """
        while token := self._token():
            kind, number, body = inbox.of(token[0])
            if kind == PREPARE:
                self._tell(self._prepared(number, Preparation(*pickle.loads(body))))  # noqa: S301 - our own parent
            else:
                self._run(number, HandedJob(*marshal.loads(body)))  # noqa: S302 - our own parent
            del body  # While it idles, it keeps nothing of the job.
            if self._shared is not None and (why := self._shared.ended) is not None:
                self._tell(answered(LEAVES, 0, awake_s(), str(why).encode()))
                return

    def _token(self) -> bytes:
        if self._said:
            try:
                return self._tokens.recv(1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._tell(b"")
        return self._tokens.recv(1)

    def _tell(self, answer: bytes) -> None:
        said, self._said = self._said + answer, b""
        self._stream.sendall(said)

    def _run(self, number: int, handed: HandedJob) -> None:
        if monotonic_ms() >= handed.until_ms:
            # The worker, or the machine, may have been frozen, and others may own the job.
            self._said += answered(BACK, number, awake_s())
            return
        route = self._routes[handed.route]
        self._tell(answered(BEGINS, number, awake_s()))
        outcome = contextvars.Context().run(route.run, handed)
        if os.getpid() != self._mine:
            # The handler forked, and this is the copy: the stream is not its to answer on.
            leave()
        self._said = ended(number, awake_s(), outcome)

    def _prepared(self, number: int, prepared: Preparation) -> bytes:
        target = prepared.target
        if target not in self._handlers:
            found = _find(target, prepared.args_class, self._script)
            if not isinstance(found, Unstarted):
                found = self._sharing(found)
            if isinstance(found, Unstarted):
                return answered(UNREADY, number, awake_s(), pickle.dumps(found))
            self._handlers[target] = found
        from jobstream_processors.execute.in_child import Route  # noqa: PLC0415 - `_handler` did

        self._routes[prepared.route] = Route(self._handlers[target], prepared)
        return answered(READY, number, awake_s())

    def _sharing(self, handler: Handler) -> Handler | Unstarted:
        """The handler with what the lifespans of its app yield; here is where they are entered."""
        if not handler.lifespans:
            return handler
        from jobstream_processors.execute.child_lifespans import (  # noqa: PLC0415 - most have none
            ChildLifespans,
        )

        try:
            shared = self._shared = self._shared or ChildLifespans(handler.lifespans)
        except BaseException as error:  # noqa: BLE001 - user code, which may raise anything
            return Unstarted("lifespan_failed", told(error), spot_of(error, as_is))
        handler.shares(shared.resources, shared.run)
        return handler

    def leave(self) -> None:
        """Leave what its handlers shared, and do what is left to do; blocks for some seconds."""
        if self._shared is not None:
            self._shared.leave()
        child_end.end()


def main(descriptors: list[int]) -> None:
    """Serve jobs until the parent closes the stream."""
    outlive_stops()
    stream, tokens = (socket.socket(fileno=descriptor) for descriptor in descriptors)
    for each in (stream, tokens):
        each.settimeout(None)
        each.set_inheritable(False)  # No program started here keeps it open.
    inbox = Inbox(stream.recv)
    try:
        hello = Hello(*pickle.loads(inbox.next()[2]))  # noqa: S301 - our own parent
        die_with(hello.parent)
        # The parent is to see this child's end, not that of a process that a handler forks.
        close_in_child(stream)
        close_in_child(tokens)
        sys.path[:] = hello.path
        if hello.begin is not None:
            pickle.loads(hello.begin)()  # noqa: S301 - our own parent; found once the path is set
        service = Service(stream, tokens, hello)
        service.serve(inbox)
        service.leave()
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
    lifespans = found.lifespans if by_app else ()
    return Handler(job, spec.function, spec.codec, lifespans)


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
    main([int(word) for word in sys.argv[1:]])
