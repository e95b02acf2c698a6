"""A queue takes a hundred mails at most: what a web service answers beyond that.

Runs in memory: `python -m examples.rules.back_pressure`.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from math import ceil

from jobstream import App, QueueFull
from jobstream.testing import memory

app = App("doorman", size="small")
mail = app.queue("mail", depth_max=100, age_max="10m")
CALLS = 120
TOO_MANY = 429
"""As the integrations of the frameworks answer it."""


@dataclass(frozen=True)
class Mail:
    """Whom to write to."""

    to: str


@app.job(queue=mail)
async def send(args: Mail) -> None:
    """Send it; this example does not."""


def answer(to: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the HTTP answer."""
    try:
        send.enqueue(Mail(to))
    except QueueFull as full:
        return TOO_MANY, {"Retry-After": str(ceil(full.retry_after))}
    return 202, {}


def main() -> None:
    """Ask 120 times while no job is run, and once more after they were."""
    with memory(app) as jobs:
        jobs.run_until_idle()
        answers = [answer(f"{number}@b.example") for number in range(CALLS)]
        told = Counter(status for status, _ in answers)
        sys.stdout.write(
            f"accepted={told[202]} refused={told[TOO_MANY]} the last one: {answers[-1]}\n"
        )
        jobs.run_until_idle()
        sys.stdout.write(f"later: {answer('late@b.example')}\n")


if __name__ == "__main__":
    main()
