"""What a worker knows of a job type: its handler, how to run it, and its policy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobstream_processors.core.breaker import Breaker
from jobstream_processors.core.limit_rule import Limit
from jobstream_processors.core.policy import Policy
from jobstream_processors.core.unique_rule import Debounce, Unique
from jobstream_processors.errors import InvalidOption
from jobstream_processors.resources import NO_RESOURCES, Resources
from jobstream_schemas import JobCodec

ASYNC, THREAD, PROCESS = "async", "thread", "process"
Target = tuple[str, str, str, bool]
"""How another process finds a handler: module, path inside it, name of the job, and whether the
path leads to the app that knows the job, or to the handler itself."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job type with its handler."""

    name: str
    queue: str
    codec: JobCodec[Any]
    policy: Policy
    timeout_ms: int
    function: Callable[..., Any]
    executor: str
    wants_context: bool
    expect_ms: int | None = None
    """The run time that is normal for it, if it says so."""
    gated: bool = False
    """Whether its rules have a say in when a job of it begins."""
    unique: Unique | Debounce | None = None
    limits: tuple[Limit, ...] = ()
    partitions: int = 1
    """Of its queue, of which each has its share of a limit over the cluster."""
    pinned: bool = False
    """Whether all of its jobs stand in one partition, which has such limits for itself."""
    fair: bool = False
    """Whether its jobs take turns by their fair key."""
    fair_weights: Mapping[str, int] = field(default_factory=dict, hash=False)
    """The shares of single fair keys; others have 1."""
    breaker: Breaker | None = None
    """The circuit breaker that it shares with others of that name."""
    app_at: tuple[str, str] | None = None
    """Module and path of the app that knows it; None where no module holds the app."""

    resources: Resources = field(default=NO_RESOURCES, hash=False, compare=False)
    """What the lifespans of this process yielded."""

    @property
    def target(self) -> Target:
        """How another process finds the handler: by its app, or else under its own name."""
        if self.app_at is not None:
            return *self.app_at, self.name, True
        return self.function.__module__, self.function.__qualname__, self.name, False

    @property
    def importable(self) -> bool:
        """Whether another process can find the handler, and the class of its args.

        An app that is found has both; a handler that is found alone needs a class with a name.
        """
        has_name = "<" not in self.function.__qualname__ and self.codec.portable
        return self.app_at is not None or has_name


def with_resources(specs: Mapping[str, JobSpec], resources: Resources) -> dict[str, JobSpec]:
    """These job types, with what their handlers share; a type has one spec under all its names."""
    made = {id(spec): replace(spec, resources=resources) for spec in specs.values()}
    return {name: made[id(spec)] for name, spec in specs.items()}


def slots_by_executor(concurrency: int, children: int) -> dict[str, int]:
    """How many handlers run at once in each executor of a process."""
    return {ASYNC: concurrency, THREAD: concurrency, PROCESS: children}


def slots_of(specs: Iterable[JobSpec], concurrency: int, children: int) -> int:
    """How many handlers of these types run at once in a process: each executor has its own slots.

    So handlers that hang in threads take nothing from those on the loop.
    """
    used = {spec.executor for spec in specs}
    slots = slots_by_executor(concurrency, children)
    return sum(slots[executor] for executor in used)


def executor_of(name: str, function: Callable[..., Any], wanted: str | None) -> str:
    """Where `function` runs; raises InvalidOption for a choice that can't work."""
    is_async, problem = inspect.iscoroutinefunction(function), ""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        problem = "the handler yields, so calling it runs nothing; remove the yield"
    elif wanted is None:
        return ASYNC if is_async else THREAD
    elif wanted not in (ASYNC, THREAD, PROCESS):
        problem = f"executor={wanted!r}; choose 'async', 'thread' or 'process'"
    elif wanted == ASYNC and not is_async:
        problem = "executor='async' needs an `async def` handler"
    elif wanted == THREAD and is_async:
        problem = "executor='thread' needs a plain `def` handler"
    elif wanted == PROCESS and "<" in function.__qualname__:
        problem = (
            "executor='process' needs a handler at module level; "
            f"{function.__qualname__} can't be imported by another process"
        )
    else:
        return wanted
    message = f"job {name!r}: {problem}"
    raise InvalidOption(message)


def takes_context(name: str, function: Callable[..., Any]) -> bool:
    """Whether the handler is (args, ctx) rather than (args); raises InvalidOption otherwise."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        message = f"job {name!r}: the handler's signature can't be read: {error}"
        raise InvalidOption(message) from error
    parameters = list(signature.parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required_keywords = [p for p in parameters if p.kind == p.KEYWORD_ONLY and p.default is p.empty]
    needed = [p for p in positional if p.default is p.empty]
    if required_keywords or not positional or len(needed) > 2:  # noqa: PLR2004 - args, ctx
        message = f"job {name!r}: a handler takes (args) or (args, ctx), not {signature}"
        raise InvalidOption(message)
    return len(positional) >= 2  # noqa: PLR2004 - args, ctx
