"""Runs each job as Django runs a request: between `request_started` and `request_finished`.

Django closes database connections that broke, or that are too old, with these two signals. A job is
no request, so without them a connection that the database dropped would stay with its thread, and
no later job there could use the database again. Where Django is not set up, nothing is done.
"""

from __future__ import annotations

import inspect
import sys
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class JobRun:
    """The sender of the signals."""


def around(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, to be run as a request; itself where this process has not set up Django.

    What a receiver of a signal raises goes to Django's log. A coroutine function gets a thread of
    its own for whatever Django calls on one, as under ASGI: a slow query holds up no other job.
    """
    if not _is_set_up():
        return function
    signals: Any = import_module("django.core.signals")
    started, finished = signals.request_started, signals.request_finished
    if not inspect.iscoroutinefunction(function):

        @wraps(function)
        def run(*given: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
            started.send_robust(JobRun, environ={})
            try:
                return function(*given)
            finally:
                finished.send_robust(JobRun)

        return run

    sync: Any = import_module("asgiref.sync")

    @wraps(function)
    async def run_on_loop(*given: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
        async with sync.ThreadSensitiveContext() as context:
            await sync.sync_to_async(started.send_robust)(JobRun, environ={})
            try:
                return await function(*given)
            finally:
                await sync.sync_to_async(finished.send_robust)(JobRun)
                # Here, since leaving the context waits for the thread, and would hold the loop.
                pool = sync.SyncToAsync.context_to_thread_executor.pop(context, None)
                if pool is not None:
                    pool.shutdown(wait=False)

    return run_on_loop


def _is_set_up() -> bool:
    django, apps = sys.modules.get("django.conf"), sys.modules.get("django.apps")
    return (
        django is not None
        and apps is not None
        and bool(django.settings.configured)
        and bool(apps.apps.ready)
    )
