"""When a failed job runs again: the `Backoff` policy, pure in (attempt, age, seed)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from jobstream_processors.core.outcome import Raised

ATTEMPTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """Retry policy of a job type.

    `attempts` counts the first run. The wait before attempt n+1 is drawn from 0 .. min(cap,
    first * factor ** (n - 1)) ("full jitter": M. Brooker, Exponential Backoff And Jitter, AWS
    Architecture Blog, 2015), so a crowd that failed together does not return together. The draw is
    derived from the job's id, redrive and attempt: a repeated decision is the same decision.

    Every exception is transient unless it is (a subclass of) one in `dead_on`; with `retry_on`
    given, only those are transient. A job older than `max_age` since its first failure dies too.
    """

    attempts: int = 8
    first: Duration = "5s"
    factor: float = 2.0
    cap: Duration = "1h"
    dead_on: tuple[type[BaseException], ...] = ()
    retry_on: tuple[type[BaseException], ...] | None = None
    max_age: Duration | None = None
    jitter: bool = True

    def __post_init__(self) -> None:
        """Refuse what can't be meant; raises InvalidOption."""
        if type(self.attempts) is not int or not 1 <= self.attempts <= ATTEMPTS_MAX:
            message = (
                f"attempts={self.attempts!r} is no whole number from 1 to {ATTEMPTS_MAX}; "
                "1 means no retry"
            )
            raise InvalidOption(message)
        if not isinstance(self.factor, int | float) or not 1.0 <= self.factor <= 100.0:  # noqa: PLR2004 - stated in the message
            message = f"factor={self.factor!r} is no number from 1.0 to 100.0"
            raise InvalidOption(message)
        first, cap = to_ms(self.first, name="first"), to_ms(self.cap, name="cap")
        if first > cap:
            message = f"first={self.first!r} is longer than cap={self.cap!r}: raise the cap"
            raise InvalidOption(message)
        if self.max_age is not None:
            to_ms(self.max_age, name="max_age")
        for option in ("dead_on", "retry_on"):
            given = getattr(self, option)
            if isinstance(given, type):
                message = f"{option}={given.__name__}: list classes, as in ({given.__name__},)"
                raise InvalidOption(message)
            if option == "retry_on" and given is None:
                continue
            # An iterator would be at its end after this look, and then match nothing.
            if not isinstance(given, Collection):
                message = f"{option}={given!r} is no tuple: list classes, as in (ValueError,)"
                raise InvalidOption(message)
            for kind in given:
                if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                    message = f"{option} holds {kind!r}, not an exception class: list classes"
                    raise InvalidOption(message)

    @property
    def cap_ms(self) -> int:
        """The longest wait between two attempts."""
        return to_ms(self.cap)

    def ceiling_ms(self, attempt: int) -> int:
        """The longest wait after failed attempt `attempt` (1-based), before jitter; monotone."""
        first, cap = to_ms(self.first), self.cap_ms
        if first == 0:
            return 0
        try:
            grown = first * self.factor ** (attempt - 1)
        except OverflowError:
            return cap
        return round(min(grown, cap))

    def delay_ms(self, attempt: int, *, job_id: str, redrive: int) -> int:
        """The wait after failed attempt `attempt`: always the same for the same arguments."""
        ceiling = self.ceiling_ms(attempt)
        return round(ceiling * draw(job_id, redrive, attempt)) if self.jitter else ceiling

    def is_permanent(self, failure: Raised) -> bool:
        """Whether no repeat can help, by the listed classes."""
        names = set(failure.classes)
        if any(_name(kind) in names for kind in self.dead_on):
            return True
        return self.retry_on is not None and not any(_name(kind) in names for kind in self.retry_on)

    def is_exhausted(self, attempt: int, age_ms: int) -> bool:
        """Whether failed attempt `attempt` was the last one, by count or by age."""
        if attempt >= self.attempts:
            return True
        return self.max_age is not None and age_ms >= to_ms(self.max_age)


def draw(job_id: str, redrive: int, attempt: int) -> float:
    """A number in 0 .. 1 that depends on the arguments alone, evenly spread over jobs."""
    seed = f"{job_id}:{redrive}:{attempt}".encode()
    return int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest()) / float(1 << 64)


def _name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
