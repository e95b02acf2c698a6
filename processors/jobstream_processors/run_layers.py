"""Puts what an app has around its handlers around one of them: the run half of middleware.

A handler with something around it is a function like any other: it is found by its app in a child
process, and is under the time limit of its job in every executor. A handler without is left alone.

What is around a run yields once, and the handler runs meanwhile. It goes in order from the first
one in to the handler, and back from the last one to the first; each sees what those inside of it
raised, and may raise something else, or nothing.
"""

from __future__ import annotations

import inspect
import logging
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream_processors.errors import DidNotYield, InvalidOption

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from jobstream_processors.context import Context

    Plain = Callable[[Any, Context], Generator[Any, Any, Any]]
    Async = Callable[[Any, Context], AsyncGenerator[Any, Any]]

log = logging.getLogger("jobstream.worker")


class RunLayer(NamedTuple):
    """What one middleware has around a run."""

    name: str
    plain: Plain | None
    """Around any handler."""
    within_loop: Async | None
    """Around coroutine functions, in place of the plain one."""


def around(
    job: str, function: Callable[..., Any], layers: Sequence[RunLayer], *, wants_context: bool
) -> Callable[[Any, Context], Any]:
    """`function` with the layers around it, the first one outermost; it takes (args, ctx).

    Raises InvalidOption where a layer has nothing for a plain function.
    """
    is_async = inspect.iscoroutinefunction(function)
    if not is_async:
        for layer in layers:
            if layer.plain is None:
                message = (
                    f"middleware {layer.name!r} has `arun` alone, and job {job!r} has a plain "
                    "`def` handler: give the middleware `run`, too"
                )
                raise InvalidOption(message)
    made = (
        _async_run(function, layers, wants_context)
        if is_async
        else _plain_run(function, layers, wants_context)
    )
    update_wrapper(made, function)
    del made.__wrapped__  # type: ignore[attr-defined] # its signature is its own
    return made


def _plain_run(
    function: Callable[..., Any],
    layers: Sequence[RunLayer],
    wants_context: bool,  # noqa: FBT001 - as given
) -> Callable[[Any, Context], Any]:
    def run(args: Any, ctx: Context) -> Any:  # noqa: ANN401 - whatever the function takes and returns
        entered: list[_Entered] = []
        error: BaseException | None = None
        result = None
        try:
            for layer in layers:
                assert layer.plain is not None  # noqa: S101 - it was looked at
                _enter(entered, layer, layer.plain(args, ctx), ctx)
            result = function(args, ctx) if wants_context else function(args)
        except BaseException as raised:  # noqa: BLE001 - the layers are told, and it is raised again
            error = raised
        while entered:
            error = _leave(entered.pop(), error)
        if error is not None:
            try:
                raise error
            finally:
                del error, result  # Its frames hold this one: they would outlive the job.
        return result

    return run


def _async_run(
    function: Callable[..., Any],
    layers: Sequence[RunLayer],
    wants_context: bool,  # noqa: FBT001 - as given
) -> Callable[[Any, Context], Any]:
    async def run(args: Any, ctx: Context) -> Any:  # noqa: ANN401 - whatever the function takes and returns
        entered: list[_Entered | _AsyncEntered] = []
        error: BaseException | None = None
        result = None
        try:
            for layer in layers:
                if layer.within_loop is not None:
                    await _enter_async(entered, layer, layer.within_loop(args, ctx), ctx)
                elif layer.plain is not None:
                    _enter(entered, layer, layer.plain(args, ctx), ctx)
            result = await (function(args, ctx) if wants_context else function(args))
        except BaseException as raised:  # noqa: BLE001 - the layers are told, and it is raised again
            error = raised
        while entered:
            last = entered.pop()
            if isinstance(last, _Entered):
                error = _leave(last, error)
            else:
                error = await _leave_async(last, error)
        if error is not None:
            try:
                raise error
            finally:
                del error, result  # Its frames hold this one: they would outlive the job.
        return result

    return run


class _Entered(NamedTuple):
    """A layer that has yielded."""

    name: str
    ctx: Context
    steps: Generator[Any, Any, Any]


class _AsyncEntered(NamedTuple):
    """An asynchronous one."""

    name: str
    ctx: Context
    steps: AsyncGenerator[Any, Any]


def _enter(
    entered: list[Any], layer: RunLayer, steps: Generator[Any, Any, Any], ctx: Context
) -> None:
    try:
        next(steps)
    except StopIteration:
        raise _no_yield(layer) from None
    entered.append(_Entered(layer.name, ctx, steps))


async def _enter_async(
    entered: list[Any], layer: RunLayer, steps: AsyncGenerator[Any, Any], ctx: Context
) -> None:
    try:
        await anext(steps)
    except StopAsyncIteration:
        raise _no_yield(layer) from None
    entered.append(_AsyncEntered(layer.name, ctx, steps))


def _no_yield(layer: RunLayer) -> DidNotYield:
    message = (
        f"middleware {layer.name!r} did not yield, so the handler did not run; raise Cancel, Dead "
        "or Snooze there to end a job without a run"
    )
    return DidNotYield(message)


def _leave(layer: _Entered, error: BaseException | None) -> BaseException | None:
    """Let a layer end; returns what the run ends with as it sees it."""
    traceback = error.__traceback__ if error is not None else None
    try:
        if error is None:
            next(layer.steps)
        else:
            layer.steps.throw(error)
    except StopIteration:
        return None
    except BaseException as raised:  # noqa: BLE001 - what the run ends with
        return _same(raised, error, traceback)
    _yielded_twice(layer)
    layer.steps.close()
    return error


async def _leave_async(layer: _AsyncEntered, error: BaseException | None) -> BaseException | None:
    """As `_leave`."""
    traceback = error.__traceback__ if error is not None else None
    try:
        if error is None:
            await anext(layer.steps)
        else:
            await layer.steps.athrow(error)
    except StopAsyncIteration:
        return None
    except BaseException as raised:  # noqa: BLE001 - what the run ends with
        return _same(raised, error, traceback)
    _yielded_twice(layer)
    await layer.steps.aclose()
    return error


def _same(raised: BaseException, error: BaseException | None, traceback: Any) -> BaseException:  # noqa: ANN401 - a traceback
    """What a layer raised; what it let through is as it was, with no trace of the layer."""
    # Python turns a StopIteration that goes through a generator into a RuntimeError of it.
    wrapped = isinstance(raised, RuntimeError) and raised.__cause__ is error
    if error is not None and (raised is error or (wrapped and _ends_iteration(error))):
        error.__traceback__ = traceback
        return error
    return raised


def _ends_iteration(error: BaseException) -> bool:
    return isinstance(error, StopIteration | StopAsyncIteration)


def _yielded_twice(layer: _Entered | _AsyncEntered) -> None:
    # What the handler did is done: a run that counts as failed would do it again.
    told = {"middleware": layer.name, "job": layer.ctx.name, "job_id": layer.ctx.job_id}
    log.error("middleware_yielded_twice", extra=told)
