"""A limit of a job type in the hands of an operator: other numbers for a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError
from jobstream_processors.core.limit_rule import Limit, check_spans
from jobstream_processors.core.orders import SET_LIMIT
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.breaker_control import WritesEntries
    from jobstream.control_listing import ControlEntry
    from jobstream.job import Job
    from jobstream_processors.core.duration import Duration


class LimitControl:
    """Changes the numbers of one limit of one app; `Control.limit` makes it.

    Each call writes to the broker, blocks and raises as those of `Control`. Workers act on it
    within two seconds. A deploy changes nothing of it.
    """

    def __init__(self, control: WritesEntries, name: str, jobs: Iterable[Job[Any, Any]]) -> None:
        self._control = control
        self._jobs = jobs
        self.name = name

    def set(
        self,
        *,
        rate: str | None = None,
        burst: int | None = None,
        concurrency: int | None = None,
        why: str = "",
        for_: Duration | None = None,
        who: str | None = None,
    ) -> ControlEntry:
        """Let the limit have these numbers. Ends after 24 hours, or `for_` (1 second to 366 days).

        Give what it limits: `rate`, perhaps with `burst`, or `concurrency`. Raises ConfigError for
        numbers of another kind than the limit's, and for what could not be declared.
        """
        numbers = limit_numbers(self.name, rate, burst, concurrency, self._jobs)
        return self._control.tell(SET_LIMIT, self.name, why=why, for_=for_, who=who, limits=numbers)

    def release(self) -> None:
        """Let it have the numbers of the code again. Harmless if it has them."""
        self._control.lift(SET_LIMIT, self.name)


def limit_numbers(
    name: str,
    rate: str | None,
    burst: int | None,
    concurrency: int | None,
    jobs: Iterable[Job[Any, Any]] = (),
) -> dict[str, int]:
    """The numbers of an entry about the limit of that name; raises ConfigError.

    If one of `jobs` has the limit, a rate must fit the dedup window of its queue.
    """
    try:
        given = Limit(rate=rate, burst=burst, concurrency=concurrency)
    except InvalidOption as error:
        raise ConfigError(str(error)) from error.__cause__
    kind = (*name.partition("#")[0].split("/"), "")[1]
    if kind != given.kind:
        message = (
            f"limit {name!r}: {given.kind}= is no number of it; name it as TYPE/rate or "
            f"TYPE/concurrency, with /FIELD behind it if it has per=, and give {kind or 'that'}="
        )
        raise ConfigError(message)
    for job in jobs:
        if (declared := job.limits_by_name.get(name)) is not None and given.rate is not None:
            told = replace(declared, rate=given.rate, burst=given.burst)
            try:
                check_spans([told], job.queue.partitions, job.queue.dedup_ms)
            except InvalidOption as error:
                message = f"limit {name!r}: {error}"
                raise ConfigError(message) from error.__cause__
    if given.concurrency is not None:
        return {"concurrency": given.concurrency}
    starts, period_ms = given.parsed
    return {"starts": starts, "period_ms": period_ms, **({"burst": burst} if burst else {})}
