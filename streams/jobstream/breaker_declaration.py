"""The breakers that job types name: which they are, and that all who share one mean the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.errors import ConfigError
from jobstream_processors.core.breaker import Breaker
from jobstream_processors.core.duration import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream.job_queue import Queue


def breaker_of(job: str, queue: Queue, given: object) -> Breaker | None:
    """The breaker that a job type gives, by itself or by name; raises ConfigError, InvalidOption.

    A name alone joins the breaker that another type declares, or is one with the usual settings.
    """
    if given is None:
        return None
    breaker = Named(given) if isinstance(given, str) else given
    if not isinstance(breaker, Breaker):
        message = f"job {job!r}: breaker={given!r:.200} is neither a name nor a Breaker"
        raise ConfigError(message)
    # Its jobs come back spread over half of the open time, and their rows must live to see it.
    if breaker.open_ms_max * 3 // 2 > queue.dedup_ms:
        message = (
            f"job {job!r}: breaker {breaker.name!r} may postpone a job for one and a half times "
            f"open_max={to_text(breaker.open_ms_max)}, longer than the dedup window "
            f"{queue.dedup!r} of queue {queue.name!r}; lower open_max or raise dedup="
        )
        raise ConfigError(message)
    return breaker


class Named(Breaker):
    """A breaker that a job type gave by its name alone."""

    __slots__ = ()


def breakers_of(given: Iterable[tuple[str, Breaker | None]]) -> Mapping[str, Breaker]:
    """Every breaker by name, of what each job type gives; raises ConfigError where two differ."""
    found: dict[str, tuple[str, Breaker]] = {}
    for job, breaker in given:
        if breaker is None:
            continue
        first, known = found.get(breaker.name, (job, breaker))
        if isinstance(known, Named) or isinstance(breaker, Named) or known == breaker:
            kept = known if isinstance(breaker, Named) else breaker
            found[breaker.name] = (first if kept is known else job, kept)
            continue
        message = (
            f"breaker {breaker.name!r} has other settings in job {job!r} than in {first!r}: "
            f"{breaker} and {known}; declare it once, and share it or its name"
        )
        raise ConfigError(message)
    return {
        name: Breaker(name) if isinstance(breaker, Named) else breaker
        for name, (_, breaker) in found.items()
    }
