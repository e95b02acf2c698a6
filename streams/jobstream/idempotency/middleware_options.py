"""The options of the middleware, checked where it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from jobstream.errors import ConfigError
from jobstream.idempotency.key_states import KeyTerms
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})
RUN_AGAIN = frozenset({401, 403, 407, 408, 425, 429})
"""Answers of 4xx that say that nothing was done, and that a repeat may go another way."""
BODY_MAX = 1024 * 1024
ANSWER_MAX = 1024 * 1024
LEASE_LEAST_MS = 1_000
KEEP_LEAST_MS = 1_000
STORE_LIMIT_LEAST_MS = 50
FAILURES = 500
"""Answers from here on say that the server failed."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class KeyOptions(TypedDict, total=False):
    """The keyword arguments of both middlewares; the reference page says what each does."""

    header: str
    methods: Collection[str]
    applies: Callable[[str, str], bool]
    required: bool | Callable[[str, str], bool]
    caller: Callable[[Any], str | bytes]
    service: str
    keep: Duration
    lease: Duration
    body_max: int
    answer_max: int
    stores: Callable[[int], bool]
    on_store_down: Literal["refuse", "pass"]
    store_limit: Duration
    job_ids: bool


def outcome_is_kept(status: int) -> bool:
    """The rule unless `stores=` gives another: a failure that may pass is not kept, the rest is."""
    return status < FAILURES and status not in RUN_AGAIN


@dataclass(frozen=True, slots=True)
class RequestRules:
    """The options, checked."""

    header: str
    methods: frozenset[str]
    applies: Callable[[str, str], bool]
    required: Callable[[str, str], bool]
    caller: Callable[[Any], str | bytes] | None
    service: str
    terms: KeyTerms
    body_max: int
    answer_max: int
    stores: Callable[[int], bool]
    passes_when_down: bool
    store_limit_s: float
    job_ids: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> RequestRules:
        """The rules that the options say; raises ConfigError, which names the option."""
        unknown = sorted(given.keys() - KeyOptions.__annotations__.keys())
        if unknown:
            there = ", ".join(sorted(KeyOptions.__annotations__))
            message = f"no option {unknown[0]!r}; there are {there}"
            raise ConfigError(message)
        try:
            terms = KeyTerms(
                lease_ms=to_ms(given.get("lease", "30s"), name="lease", least_ms=LEASE_LEAST_MS),
                keep_ms=to_ms(given.get("keep", "24h"), name="keep", least_ms=KEEP_LEAST_MS),
            )
            limit_ms = to_ms(
                given.get("store_limit", "5s"), name="store_limit", least_ms=STORE_LIMIT_LEAST_MS
            )
        except InvalidOption as error:
            raise ConfigError(str(error)) from error.__cause__
        required = given.get("required", False)
        return cls(
            header=_header(given.get("header", "Idempotency-Key")),
            methods=_methods(given.get("methods", ("POST", "PATCH"))),
            applies=_function("applies", given.get("applies", _always)),
            required=_function(
                "required",
                (_always if required else _never) if isinstance(required, bool) else required,
            ),
            caller=None if given.get("caller") is None else _function("caller", given["caller"]),
            service=_name("service", given.get("service", "")),
            terms=terms,
            body_max=_bytes("body_max", given.get("body_max", BODY_MAX)),
            answer_max=_bytes("answer_max", given.get("answer_max", ANSWER_MAX)),
            stores=_function("stores", given.get("stores", outcome_is_kept)),
            passes_when_down=_on_store_down(given.get("on_store_down", "refuse")) == "pass",
            store_limit_s=limit_ms / 1000,
            job_ids=_flag("job_ids", given.get("job_ids", True)),
        )

    def concerns(self, method: str, path: str) -> bool:
        """Whether keys are looked for in such requests at all."""
        return method in self.methods and self.applies(method, path)


def _always(_method: str, _path: str) -> bool:
    return True


def _never(_method: str, _path: str) -> bool:
    return False


def _header(name: object) -> str:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        message = f"header={name!r} is no name of a header: give one such as 'Idempotency-Key'"
        raise ConfigError(message)
    return name


def _methods(given: object) -> frozenset[str]:
    found = [given] if isinstance(given, str) else given
    if (
        not isinstance(found, Collection)
        or not found
        or any(not isinstance(each, str) or each in SAFE or each != each.upper() for each in found)
    ):
        message = (
            f"methods={given!r:.200}: give methods that change something, in capitals, such as "
            "('POST', 'PATCH', 'PUT', 'DELETE')"
        )
        raise ConfigError(message)
    return frozenset(found)


def _function(name: str, given: Any) -> Any:  # noqa: ANN401 - a callable of several kinds
    if not callable(given):
        message = f"{name}={given!r}: give a function"
        raise ConfigError(message)
    return given


def _name(name: str, given: object) -> str:
    if not isinstance(given, str) or not given.isprintable():
        message = f"{name}={given!r}: give a text that one can print"
        raise ConfigError(message)
    return given


def _bytes(name: str, given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        message = f"{name}={given!r}: give a number of bytes, 1 or more"
        raise ConfigError(message)
    return given


def _on_store_down(given: object) -> str:
    if not isinstance(given, str) or given not in {"refuse", "pass"}:
        message = f"on_store_down={given!r}: 'refuse' answers 503, 'pass' runs without the key"
        raise ConfigError(message)
    return given


def _flag(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        message = f"{name}={given!r}: give True or False"
        raise ConfigError(message)
    return given
