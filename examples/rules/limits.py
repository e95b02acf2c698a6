"""A service allows each customer ten calls a minute, and two at once: jobs keep to both.

Runs in memory, on a clock that jumps: `python -m examples.rules.limits`.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobstream import App, Limit, RetryAfter
from jobstream.testing import MemoryJobs, memory

app = App("shop", size="small")


@dataclass(frozen=True)
class Call:
    """A call for a customer."""

    customer: str
    number: int


class Service:
    """What is called: it notes when, and answers one call with 429."""

    jobs: MemoryJobs
    is_busy = True

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def call(self, of: Call) -> None:
        """Note the time; be busy once."""
        print(f"call {of.number} for {of.customer}")
        self.seconds.append(self.jobs.clock.broker_ms() / 1_000)
        if self.is_busy and len(self.seconds) == 3:  # noqa: PLR2004 - the third call
            self.is_busy = False
            wait = "1m"  # As its header Retry-After says.
            raise RetryAfter(wait, "429", limit=True)


service = Service()


@app.job(
    limits=[
        Limit(rate="10/m", per="customer"),
        Limit(concurrency=2, per="customer"),
        Limit(rate="1000/s"),
    ]
)
async def sync(call: Call) -> None:
    """Call the service."""
    service.call(call)


def main() -> None:
    """Enqueue six calls of one customer at once."""
    with memory(app) as jobs:
        service.jobs = jobs
        sync.enqueue_many([Call("c-1", number) for number in range(6)])
        jobs.run_until_idle()
        jobs.assert_done(sync)
    first = service.seconds[0]
    print("seconds:", *(f"{each - first:.0f}" for each in service.seconds))


if __name__ == "__main__":
    main()
