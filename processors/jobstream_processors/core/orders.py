"""What operators ordered of the workers, and which orders are in force at a moment.

Every time here is the broker's, in epoch milliseconds. An entry takes effect when it is
appended. After its expiry every reader ignores it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from reprlib import repr as shown
from types import MappingProxyType
from typing import Final, NamedTuple

from jobstream_processors.core.duration import to_ms
from jobstream_processors.core.identity import utf8_bytes
from jobstream_processors.errors import InvalidOption

PAUSE_QUEUE, PAUSE_TYPE, CANCEL, QUIET = "pause_queue", "pause_type", "cancel", "quiet"
DRAIN = "drain"
"""Workers that run when it is written drain and leave; those that start later ignore it."""
HOLD_BREAKER, BREAKER_OPENED = "hold_breaker", "breaker_opened"
"""An operator holds a breaker open or closed; a worker has opened one and tells the others."""
SET_LIMIT = "set_limit"
"""A limit of a job type has other numbers than its code says."""
KINDS = (PAUSE_QUEUE, PAUSE_TYPE, CANCEL, QUIET, DRAIN, HOLD_BREAKER, BREAKER_OPENED, SET_LIMIT)
LASTS_MS: Mapping[str, int] = {
    PAUSE_QUEUE: to_ms("24h"),
    PAUSE_TYPE: to_ms("24h"),
    CANCEL: to_ms("30d"),
    QUIET: to_ms("1h"),
    DRAIN: to_ms("5m"),
    HOLD_BREAKER: to_ms("1h"),
    BREAKER_OPENED: to_ms("30s"),
    SET_LIMIT: to_ms("24h"),
}
"""How long an entry of each kind lasts unless it says otherwise: nothing is forgotten for ever."""
LASTS_MS_MIN = 1_000
LASTS_MS_MAX = to_ms("366d")
SUBJECT_CHARS_MAX = 300
TEXT_CHARS_MAX = 500
OPEN = "open"
"""The number of a `hold_breaker`: 1 holds it open, 0 closed."""
NO_LIMITS: Final[Mapping[str, int]] = MappingProxyType({})
ANY = "*"
"""At the end of the subject of `quiet` or `drain`: every worker whose name begins like that."""


class Order(NamedTuple):
    """One order to the workers: of an operator, or what one of them tells the others."""

    kind: str
    subject: str
    """A queue, a job type, a job's id, a worker `host:pid`, a breaker or a limit."""
    who: str
    why: str
    at_ms: int
    """When the broker appended it."""
    expires_ms: int
    limits: Mapping[str, int] = NO_LIMITS
    """Numbers by name, for kinds that have some."""

    @property
    def told(self) -> str:
        """By whom and why, in one line."""
        return f"by {self.who}: {self.why}" if self.why else f"by {self.who}"

    def is_in_force(self, now_ms: int) -> bool:
        """Whether it has not expired."""
        return now_ms < self.expires_ms


@dataclass(frozen=True, slots=True)
class Orders:
    """The entries in force at one moment, by what they are about."""

    queues: Mapping[str, Order] = field(default_factory=dict, hash=False)
    types: Mapping[str, Order] = field(default_factory=dict, hash=False)
    cancels: Mapping[str, Order] = field(default_factory=dict, hash=False)
    quiets: tuple[Order, ...] = ()
    drains: tuple[Order, ...] = ()
    """All in force. Which of them a worker obeys depends on when it read them."""
    breakers: Mapping[str, Order] = field(default_factory=dict, hash=False)
    """Those that operators hold open or closed."""
    openings: Mapping[str, Order] = field(default_factory=dict, hash=False)
    """Breakers that a worker found open, until then."""
    limits: Mapping[str, Order] = field(default_factory=dict, hash=False)
    """Limits of job types that have other numbers."""

    def __bool__(self) -> bool:
        """Whether anything is in force at all."""
        return any(True for _ in self)

    def __iter__(self) -> Iterator[Order]:
        """All of them."""
        yield from self.queues.values()
        yield from self.types.values()
        yield from self.cancels.values()
        yield from self.quiets
        yield from self.drains
        yield from self.breakers.values()
        yield from self.openings.values()
        yield from self.limits.values()

    def quiets_worker(self, name: str) -> Order | None:
        """The entry that keeps the worker of that name from taking jobs."""
        return next((entry for entry in self.quiets if is_meant(entry.subject, name)), None)


NOTHING: Final = Orders()


def in_force(entries: Iterable[Order], now_ms: int) -> Orders:
    """What holds at `now_ms`. Entries of a kind this version does not know hold nothing."""
    by_kind: dict[str, dict[str, Order]] = {kind: {} for kind in KINDS}
    for entry in entries:
        if entry.kind in by_kind and entry.is_in_force(now_ms):
            by_kind[entry.kind][entry.subject] = entry
    return Orders(
        queues=by_kind[PAUSE_QUEUE],
        types=by_kind[PAUSE_TYPE],
        cancels=by_kind[CANCEL],
        quiets=tuple(by_kind[QUIET].values()),
        drains=tuple(by_kind[DRAIN].values()),
        breakers=by_kind[HOLD_BREAKER],
        openings=by_kind[BREAKER_OPENED],
        limits=by_kind[SET_LIMIT],
    )


def counts(entries: Iterable[Order], now_ms: int) -> dict[str, int]:
    """How many entries of each kind are in force; every kind is there, with 0 too."""
    found = dict.fromkeys(KINDS, 0)
    for entry in entries:
        if entry.kind in found and entry.is_in_force(now_ms):
            found[entry.kind] += 1
    return found


def is_meant(subject: str, worker: str) -> bool:
    """Whether a `quiet` or `drain` with this subject means the worker of that name."""
    if subject.endswith(ANY):
        return worker.startswith(subject.removesuffix(ANY))
    return worker == subject


def names_workers(subject: str) -> bool:
    """Whether any worker can be called so: `host:pid`, or the beginning of names and `*`."""
    return ":" in subject or subject.endswith(ANY)


def check(  # noqa: PLR0917 - the fields of an entry, in its order
    kind: str,
    subject: str,
    who: str,
    why: str,
    lasts_ms: int,
    limits: Mapping[str, int] = NO_LIMITS,
) -> None:
    """Raises InvalidOption for a value that no entry may have."""
    if kind not in KINDS:
        message = f"no control entry of kind {kind!r}: there are {', '.join(KINDS)}"
        raise InvalidOption(message)
    if not subject or not _is_text(subject, SUBJECT_CHARS_MAX):
        message = (
            f"{kind} of {shown(subject)} is refused: name it in 1 to {SUBJECT_CHARS_MAX} characters"
        )
        raise InvalidOption(message)
    for name, text in (("who", who), ("why", why)):
        if not _is_text(text, TEXT_CHARS_MAX):
            limit = f"give a text of at most {TEXT_CHARS_MAX} characters, in UTF-8"
            message = f"{name}={shown(text)} is refused: {limit}"
            raise InvalidOption(message)
    if not LASTS_MS_MIN <= lasts_ms <= LASTS_MS_MAX:
        message = f"an entry for {lasts_ms} ms is refused: give 1s to 366d"
        raise InvalidOption(message)
    if kind == DRAIN and not subject.strip(ANY):
        message = (
            f"{kind} of {subject} is refused, since it would stop all work at once: "
            "name a worker, HOST:PID, or the beginning of some names, as in HOST:*"
        )
        raise InvalidOption(message)
    if kind == HOLD_BREAKER and limits.get(OPEN) not in {0, 1}:
        message = f"{kind} of {subject} has {dict(limits)}: give {OPEN} as 1, or as 0 for closed"
        raise InvalidOption(message)


def _is_text(given: object, chars_max: int) -> bool:
    """Whether it is a text that an entry can hold."""
    if not isinstance(given, str) or len(given) > chars_max:
        return False
    return not given or utf8_bytes(given) > 0
