"""A mail provider goes down: jobs wait behind a circuit breaker, and lose no attempt.

Runs in memory, on a clock that jumps: `python -m examples.rules.circuit_breaker`.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobstream import App, Breaker
from jobstream.testing import memory

app = App("shop", size="small")
smtp = Breaker("smtp", ratio=0.5, window="1m", least=10, open="30s", open_max="10m", probes=3)


class Provider:
    """A mail provider that may be down, and how often it was called."""

    is_down = False
    calls = 0

    def deliver(self, to: str) -> None:
        """Raise ConnectionError while it is down."""
        self.calls += 1
        if self.is_down:
            message = f"no route to the provider for {to}"
            raise ConnectionError(message)


provider = Provider()


@dataclass(frozen=True)
class Mail:
    """The args of both job types."""

    to: str


@app.job(breaker=smtp)
async def send_receipt(mail: Mail) -> None:
    """Send a receipt by the provider."""
    provider.deliver(mail.to)


@app.job(breaker="smtp")  # the same breaker, by its name
async def send_newsletter(mail: Mail) -> None:
    """Send a newsletter by the same provider."""
    provider.deliver(mail.to)


def main() -> None:
    """Let the provider go down for ten minutes."""
    with memory(app) as jobs:
        provider.is_down = True
        sent = [send_receipt.enqueue(Mail(f"{number}@example.org")) for number in range(10)]
        jobs.run_for("1s")
        print(f"{provider.calls} runs failed, and the breaker is open")

        sent += [send_newsletter.enqueue(Mail(f"{number}@example.org")) for number in range(20)]
        provider.calls = 0
        jobs.run_for("10m")
        print(f"in ten minutes the provider was tried {provider.calls} times")

        provider.is_down = False
        jobs.run_until_idle()
        for job in sent:
            jobs.assert_done(job)
        print(f"the provider is back, and {len(sent)} jobs are done")


if __name__ == "__main__":
    main()
