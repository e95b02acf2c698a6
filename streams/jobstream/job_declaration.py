"""Checks the declaration of a job type: its options, and the args that its handler takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_type_hints

from jobstream.breaker_declaration import breaker_of
from jobstream.enqueue.uniqueness import Uniqueness
from jobstream.errors import ConfigError
from jobstream_processors.core.breaker import Breaker
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.fair_rule import Fair, fair_rule
from jobstream_processors.core.field_names import field_names
from jobstream_processors.core.job_keys import JobKeys, KeyRules, key_of
from jobstream_processors.core.limit_rule import Limit, check_limits, check_spans, is_pinned
from jobstream_processors.core.retry import Backoff
from jobstream_processors.core.unique_rule import Debounce, Unique
from jobstream_processors.errors import InvalidOption
from jobstream_schemas.record_classes import WORDS, is_record_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.job_queue import Queue
    from jobstream_processors.core.field_names import Fields
    from jobstream_schemas import JobCodec

OnFailure = Literal["ladder", "hold_key"]
Executor = Literal["async", "thread", "process"]

ON_FAILURE = ("ladder", "hold_key")
TIMEOUT_MS_MAX = 24 * 3_600_000


class DeclareOptions(TypedDict, total=False):
    """The options of `App.declare`; the page of the API says what each does."""

    queue: Queue | None
    retry: Backoff | None
    timeout: Duration
    on_failure: OnFailure
    executor: Executor | None
    aliases: Iterable[str]
    expect: Duration | None
    order_by: Fields | None
    unique: Unique | None
    debounce: Debounce | None
    limits: Iterable[Limit]
    fair_by: Fields | Fair | None
    breaker: Breaker | str | None


class DecoratorOptions(DeclareOptions, total=False):
    """The options of `App.job`."""

    name: str | None


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job type is to be run: its queue, executor, limits and retries."""

    retry: Backoff
    timeout_ms: int
    on_failure: str
    executor: str | None
    expect_ms: int | None
    unique: Unique | Debounce | None = None
    limits: tuple[Limit, ...] = ()
    fair: Fair | None = None
    breaker: Breaker | None = None

    @property
    def gated(self) -> bool:
        """Whether a rule of it has a say in when its jobs begin."""
        rules = self.unique is not None or bool(self.limits) or self.fair is not None
        return rules or self.breaker is not None


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
    return JobOptions(
        retry,
        timeout_ms,
        on_failure,
        options.get("executor"),
        expect_ms,
        _unique(options),
        check_limits(options.get("limits", ())),
        fair_rule(options.get("fair_by")),
        breaker_of(name, queue, options.get("breaker")),
    )


def job_keys(
    first_name: str, queue: Queue, codec: JobCodec[Any], options: Mapping[str, Any]
) -> JobKeys | None:
    """How the keys of a type's jobs are made; None where it declares none.

    Raises InvalidOption for fields that can't make a key, and for keys that do not nest.
    """
    unique, limits = _unique(options), check_limits(options.get("limits", ()))
    check_spans(limits, queue.partitions, queue.dedup_ms)
    order_by, fair = options.get("order_by"), fair_rule(options.get("fair_by"))
    rules = KeyRules(
        None if order_by is None else field_names("order_by", order_by),
        None if unique is None else unique.fields,
        next((each.fields for each in limits if each.fields is not None), None),
        None if fair is None else fair.fields,
    )
    pinned = is_pinned(limits, queue.partitions)
    if not pinned and not any(rules):
        return None
    keys = JobKeys(first_name, codec.shape.key_fields(), rules, pinned=pinned)
    fair_weights(codec, fair)
    return keys


def fair_weights(codec: JobCodec[Any], fair: Fair | None) -> dict[str, int]:
    """The weights of a type by fair key; raises InvalidOption for values that can't be in args."""
    if fair is None:
        return {}
    fields = codec.shape.key_fields()
    encoders = {each.name: each.encoder() for each in codec.shape.fields}

    def key(values: tuple[Any, ...]) -> str:
        for name, value in zip(fair.fields, values, strict=True):
            encoders[name](value)  # It refuses what the args could not hold, as True for an int.
        return key_of(fair.fields, values, fields)

    return fair.keyed(key)


def uniqueness(
    first_name: str, queue: Queue, rule: Unique | Debounce | None, options: Mapping[str, Any]
) -> Uniqueness | None:
    """How jobs of a type want their unique key; raises InvalidOption for what can't be."""
    if rule is None:
        return None
    ordered = options.get("order_by") is not None
    window_ms = queue.dedup_ms
    return Uniqueness(first_name, rule.wanted(window_ms), window_ms, ordered=ordered)


def _unique(options: Mapping[str, Any]) -> Unique | Debounce | None:
    unique, debounce = options.get("unique"), options.get("debounce")
    for option, given, kind in (("unique", unique, Unique), ("debounce", debounce, Debounce)):
        if given is not None and not isinstance(given, kind):
            message = f"{option}={given!r} is not a {kind.__name__}: write {kind.__name__}(by=…)"
            raise InvalidOption(message)
    if unique is not None and debounce is not None:
        message = "unique= and debounce= are two rules for the same jobs; leave one out"
        raise InvalidOption(message)
    return unique if debounce is None else debounce


def aliases_of(name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a job type had before; raises ConfigError for a text, which is letters."""
    aliases = options.get("aliases", ())
    if isinstance(aliases, str) or not isinstance(aliases, Iterable):
        message = f"job {name!r}: aliases={aliases!r} is not a list of names: write ['old_name']"
        raise ConfigError(message)
    return tuple(aliases)


def args_type_of(handler: Callable[..., Any]) -> type[Any]:
    """The record class that annotates the handler's first parameter; raises ConfigError."""
    if not inspect.isroutine(handler):
        message = f"handler {handler!r} is not a function; wrap it in a `def` or an `async def`"
        raise ConfigError(message)
    name = handler.__qualname__
    first: object = inspect.Parameter.empty
    try:
        # Only the first: others, such as Context, may be imported for type checkers alone.
        for parameter in list(inspect.signature(handler).parameters.values())[:1]:
            if parameter.name in {"self", "cls"} and parameter.annotation is parameter.empty:
                message = f"handler {name}: a method can't be a handler; write a function"
                raise ConfigError(message)
            holder = SimpleNamespace(__annotations__={"args": parameter.annotation})
            names = getattr(inspect.unwrap(handler), "__globals__", {})
            first = get_type_hints(holder, names)["args"]
    except (NameError, TypeError, ValueError) as error:
        message = (
            f"handler {name}: {error}; define the args dataclass at module level, before it, or "
            "import it outside `if TYPE_CHECKING:`"
        )
        raise ConfigError(message) from error
    if not (isinstance(first, type) and is_record_class(first)):
        found = "" if first is inspect.Parameter.empty else f", not {first!r}"
        message = f"handler {name}: annotate its first parameter with {WORDS}{found}"
        raise ConfigError(message)
    return first
