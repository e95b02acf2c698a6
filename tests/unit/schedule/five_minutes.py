"""An app whose schedule of five minutes is watched, and how long its jobs wait between two runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobstream import App, Context, Snooze

if TYPE_CHECKING:
    from jobstream.testing import MemoryJobs

HOUR = timedelta(hours=1)
WAIT, LONG_WAIT = "4m", "12m"


@dataclass(frozen=True)
class Work:
    """How often a job is put off by four minutes before it is done."""

    snoozes: int = 0


class Ran:
    """The ticks whose jobs began and ended, in minutes of the hour, in their order."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.ended: list[int] = []


def app_of(ran: Ran, **timing: object) -> App:
    app = App("shop", size="small")

    @app.every("5m", **timing)  # type: ignore[arg-type] # drawn by a test
    @app.job
    def work(args: Work, ctx: Context) -> None:
        assert ctx.scheduled_for is not None
        minute = (ctx.scheduled_for.hour * 60 + ctx.scheduled_for.minute) % 1440
        if ctx.seq == 0:
            ran.began.append(minute)
        if ctx.seq < args.snoozes:
            raise Snooze(WAIT)
        ran.ended.append(minute)

    return app


def from_the_first(minutes: list[int]) -> list[int]:
    return [(minute - minutes[0]) % 1440 for minute in minutes]


def to_a_tick(jobs: MemoryJobs) -> None:
    """To one minute after a tick."""
    now_ms = jobs.clock.broker_ms()
    jobs.run_for(timedelta(milliseconds=300_000 - now_ms % 300_000 + 60_000))
