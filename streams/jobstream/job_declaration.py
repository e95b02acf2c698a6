"""Checks the declaration of a job type: its options, and the args that its handler takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, is_dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

from jobstream.errors import ConfigError
from jobstream_processors.core.duration import to_ms
from jobstream_processors.core.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.job_queue import Queue

ON_FAILURE = ("ladder", "hold_key")
TIMEOUT_MS_MAX = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job type is to be run: its queue, executor, limits and retries."""

    retry: Backoff
    timeout_ms: int
    on_failure: str
    executor: str | None
    expect_ms: int | None


def job_options(name: str, queue: Queue, options: Mapping[str, Any]) -> JobOptions:
    """The options of a job type, checked; raises ConfigError or InvalidOption."""
    given = options.get("retry")
    retry = Backoff() if given is None else given
    if not isinstance(retry, Backoff):
        message = f"job {name!r}: retry={retry!r} is not a Backoff"
        raise ConfigError(message)
    on_failure = options.get("on_failure", "ladder")
    if on_failure not in ON_FAILURE:
        message = f"job {name!r}: on_failure={on_failure!r}; choose 'ladder' or 'hold_key'"
        raise ConfigError(message)
    if retry.cap_ms > queue.dedup_ms:
        message = (
            f"job {name!r}: a retry may wait cap={retry.cap!r}, longer than the dedup window "
            f"{queue.dedup!r} of queue {queue.name!r}; lower the cap or raise dedup="
        )
        raise ConfigError(message)
    timeout = options.get("timeout", "30s")
    timeout_ms = to_ms(timeout, name="timeout", least_ms=1, most_ms=TIMEOUT_MS_MAX)
    expect_ms = None
    if (expect := options.get("expect")) is not None:
        expect_ms = to_ms(expect, name="expect", least_ms=1, most_ms=timeout_ms)
    return JobOptions(retry, timeout_ms, on_failure, options.get("executor"), expect_ms)


def aliases_of(name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a job type had before; raises ConfigError for a text, which is letters."""
    aliases = options.get("aliases", ())
    if isinstance(aliases, str) or not isinstance(aliases, Iterable):
        message = f"job {name!r}: aliases={aliases!r} is not a list of names: write ['old_name']"
        raise ConfigError(message)
    return tuple(aliases)


def args_type_of(handler: Callable[..., Any]) -> type[Any]:
    """The dataclass that annotates the handler's first parameter; raises ConfigError."""
    if not inspect.isroutine(handler):
        message = f"handler {handler!r} is not a function; wrap it in a `def` or an `async def`"
        raise ConfigError(message)
    name = handler.__qualname__
    first: object = inspect.Parameter.empty
    try:
        # Only the first: others, such as Context, may be imported for type checkers alone.
        for parameter in list(inspect.signature(handler).parameters.values())[:1]:
            holder = SimpleNamespace(__annotations__={"args": parameter.annotation})
            names = getattr(inspect.unwrap(handler), "__globals__", {})
            first = get_type_hints(holder, names)["args"]
    except (NameError, TypeError, ValueError) as error:
        message = f"handler {name}: {error}; define the args dataclass at module level, before it"
        raise ConfigError(message) from error
    if not (isinstance(first, type) and is_dataclass(first)):
        found = "" if first is inspect.Parameter.empty else f", not {first!r}"
        message = f"handler {name}: annotate its first parameter with a dataclass{found}"
        raise ConfigError(message)
    return first
