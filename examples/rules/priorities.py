"""Password mails and reports share a worker's slots by the weights of their queues.

Runs in memory: `python -m examples.rules.priorities`. In a worker the command's weights win:
`jobstream worker examples.rules.priorities:app --queues mails:8,reports:1`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from jobstream import App
from jobstream.testing import memory

app = App("desk", size="small", concurrency=2)
mails = app.queue("mails", weight=8)
reports = app.queue("reports")  # weight 1
ran: list[str] = []


@dataclass(frozen=True)
class Work:
    """What either job is about."""

    number: int


@app.job(queue=mails)
async def send_mail(_: Work) -> None:
    """Send a mail."""
    await asyncio.sleep(0.002)  # work
    ran.append("mail")


@app.job(queue=reports)
async def write_report(_: Work) -> None:
    """Write a report, which takes five times as long."""
    await asyncio.sleep(0.010)  # work
    ran.append("report")


def main() -> None:
    """Let 100 reports wait when 100 mails come."""
    with memory(app) as jobs:
        for number in range(100):
            write_report.enqueue(Work(number))
        for number in range(100):
            send_mail.enqueue(Work(number))
        jobs.run_until_idle()
    last = max(at for at, what in enumerate(ran, 1) if what == "mail")
    print(f"the last of 100 mails was sent after {last - 100} of 100 reports")


if __name__ == "__main__":
    main()
