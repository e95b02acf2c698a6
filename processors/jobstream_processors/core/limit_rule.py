"""What a job type says about how many of its jobs run, at once or in a time. Plain values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from jobstream_processors.core.duration import to_text
from jobstream_processors.core.field_names import Fields, field_names
from jobstream_processors.errors import InvalidOption

COUNT_MAX: Final = 10_000_000
PERIOD_MS_MAX: Final = 366 * 86_400_000
BURST_MS: Final = 100
"""A burst that is not given is what the rate lets through in so long, and at least one."""
_PAUSE: Final = "to stop a type, pause it: jobstream control pause MODULE:APP --type TYPE"
_RATE: Final = re.compile(r"(\d{1,9})\s*/\s*(\d{0,6})\s*(ms|s|m|h|d)", re.ASCII)
_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class RateOf(NamedTuple):
    """So many starts in so many milliseconds."""

    starts: int
    period_ms: int


class Numbers(NamedTuple):
    """The numbers that a limit goes by: of one kind or the other."""

    concurrency: int = 0
    starts: int = 0
    period_ms: int = 0
    burst: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many jobs of a type may run at once (`concurrency`), or start in a time (`rate`).

    `rate` is "100/m", "1000/s", "5/h" or "20/10s". `per` names fields of the args: the limit holds
    for each of their values by itself; without it, for the type in the whole cluster. `burst` is
    how many may start at once after a pause; if left out, what the rate lets through in a tenth of
    a second, and at least one. Raises ConfigError for anything else.
    """

    concurrency: int | None = None
    rate: str | None = None
    per: Fields | None = None
    burst: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be a limit; the message names the value and the fix."""
        if (self.concurrency is None) is (self.rate is None):
            message = f"{self}: give concurrency= or rate=, and another Limit for the other one"
            raise InvalidOption(message)
        if self.concurrency is not None:
            _check_count("concurrency", self.concurrency)
        if self.rate is not None:
            rate_of(self.rate)
        if self.burst is not None:
            if self.rate is None:
                message = f"{self}: burst= goes with rate=; leave it out of a concurrency limit"
                raise InvalidOption(message)
            _check_count("burst", self.burst)
        if self.per is not None:
            object.__setattr__(self, "per", field_names("per", self.per))

    @property
    def fields(self) -> tuple[str, ...] | None:
        """The fields that make its key; None where it is one for the whole cluster."""
        return None if self.per is None else field_names("per", self.per)

    @property
    def kind(self) -> str:
        """What it limits, which is also the reason for which its jobs wait."""
        return "concurrency" if self.rate is None else "rate"

    @property
    def parsed(self) -> RateOf:
        """Its rate; raises InvalidOption for a limit of the other kind."""
        return rate_of(self.rate)

    def least(self) -> int:
        """The smallest count in it: no more partitions than that can each have a share."""
        if self.concurrency is not None:
            return self.concurrency
        count = self.parsed.starts
        return count if self.burst is None else min(count, self.burst)


def names_of(job_type: str, limits: Iterable[Limit]) -> list[str]:
    """What operators call the limits of a type: its name, the kind, the fields they count by.

    A number stands behind the second limit of a name, and those after it.
    """
    found: list[str] = []
    for each in limits:
        per = ("+".join(each.fields),) if each.fields is not None else ()
        name = "/".join((job_type, each.kind, *per))
        twice = sum(other.partition("#")[0] == name for other in found)
        found.append(f"{name}#{twice + 1}" if twice else name)
    return found


def numbers_of(limit: Limit, partitions: int, other: Numbers | None = None) -> Numbers:
    """The numbers of a limit, or `other` ones where they are of its kind.

    Over a cluster, each partition has at least one of a burst that is not given.
    """
    if limit.concurrency is not None:
        return Numbers(concurrency=(other and other.concurrency) or limit.concurrency)
    starts, period_ms = limit.parsed
    burst = limit.burst or 0
    if other is not None and other.starts and other.period_ms:
        starts, period_ms, burst = other.starts, other.period_ms, other.burst
    if not burst:
        burst = max(1, starts * BURST_MS // period_ms)
        if limit.fields is None and starts >= partitions:
            burst = max(burst, partitions)
    return Numbers(starts=starts, period_ms=period_ms, burst=burst)


def told_numbers(numbers: Mapping[str, int]) -> Numbers:
    """The numbers of an entry of an operator; those that are out of bounds are left out."""
    good = {name: n for name, n in numbers.items() if name in Numbers._fields and n > 0}
    return Numbers(**{name: min(n, PERIOD_MS_MAX) for name, n in good.items()})


def rate_of(text: object) -> RateOf:
    """Read "100/m"; raises InvalidOption."""
    match = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        message = f"rate={text!r}: write a count and a unit of time, as in '100/m' or '20/10s'"
        raise InvalidOption(message)
    count, period_ms = int(match[1]), int(match[2] or 1) * _UNITS_MS[match[3]]
    _check_count("rate", count)
    if not 1 <= period_ms <= PERIOD_MS_MAX:
        message = f"rate={text!r}: its time is outside 1 ms .. 366 d; write as in '100/m'"
        raise InvalidOption(message)
    return RateOf(count, period_ms)


def check_limits(given: object) -> tuple[Limit, ...]:
    """The limits of a type; raises InvalidOption unless they can stand beside each other."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        message = f"limits={given!r} is not a list of Limit: write [Limit(concurrency=5)]"
        raise InvalidOption(message)
    limits = tuple(given)
    for each in limits:
        if not isinstance(each, Limit):
            message = f"limits holds {each!r}, which is not a Limit: write Limit(concurrency=5)"
            raise InvalidOption(message)
    keyed = [each for each in limits if each.fields is not None]
    for each in keyed[1:]:
        if set(each.fields or ()) != set(keyed[0].fields or ()):
            message = (
                f"limits: per={keyed[0].per!r} and per={each.per!r} differ: all limits of one type "
                "count by the same fields; choose one, or give the other limit no per="
            )
            raise InvalidOption(message)
    return limits


def check_spans(limits: Iterable[Limit], partitions: int, window_ms: int) -> None:
    """Raise InvalidOption for a rate that must be remembered for longer than the dedup window."""
    for each in limits:
        if each.rate is None:
            continue
        numbers = numbers_of(each, partitions)
        span_ms = numbers.burst * numbers.period_ms // numbers.starts
        if max(span_ms, 0 if each.fields is not None else numbers.period_ms) > window_ms:
            message = (
                f"rate={each.rate!r} must be remembered for longer than the dedup window of its "
                f"queue, {to_text(window_ms)}: raise the queue's dedup=, or give a shorter time"
            )
            raise InvalidOption(message)


def is_pinned(limits: Iterable[Limit], partitions: int) -> bool:
    """Whether a limit over the cluster is too small for each partition to have a share of it.

    All jobs of its type then stand in one partition, whose owner counts them.
    """
    return any(each.fields is None and each.least() < partitions for each in limits)


def _check_count(option: str, count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool):
        message = f"{option}={count!r} is not a whole number: write it as in {option}=5"
        raise InvalidOption(message)
    if not 1 <= count <= COUNT_MAX:
        fix = _PAUSE if count == 0 else "give a count"
        message = f"{option}={count!r} is outside 1 .. {COUNT_MAX:,}; {fix}"
        raise InvalidOption(message)
