"""The app whose jobs the agent enqueues: one for each session of clicks that ended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jobstream import App

app = App("clicks-jobs", size="small")
reports = app.queue("reports")


@dataclass(frozen=True)
class EndedSession:
    """The clicks of one user, with no long pause between them."""

    user: str
    began_ms: int
    ended_ms: int
    clicks: int


@app.job(queue=reports)
def report_session(args: EndedSession) -> None:
    """Do with a session what takes a while, may fail, and must not be done twice."""
    line = f"{args.user} {args.began_ms} {args.clicks}\n"
    with Path(os.environ.get("CLICKS_LEDGER", "/dev/stdout")).open("a") as ledger:
        ledger.write(line)
