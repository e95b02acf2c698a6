"""A nightly report, a poll every ten minutes, and a digest on Mondays."""

from __future__ import annotations

from dataclasses import dataclass

from jobstream import App, Context

app = App("planner", size="small")


@dataclass(frozen=True)
class Report:
    """What is reported."""

    kind: str = "sales"


@dataclass(frozen=True)
class Poll:
    """Whom to ask."""

    supplier: str


@app.cron("30 2 * * *", tz="Europe/Berlin", args=Report("sales"))
@app.cron("0 8 * * MON", tz="Europe/Berlin", name="digest", args=Report("digest"))
@app.job
def report(args: Report, ctx: Context) -> None:
    """Compute with the tick, not with the time of day: a late run is the same report."""
    ctx.logger.info("%s as of %s", args.kind, ctx.scheduled_for)


@app.every("10m", args=Poll("acme"), missed="skip", overlap="queue_one", spread="1m")
@app.job
async def poll(args: Poll, ctx: Context) -> None:
    """Nobody needs the polls of an hour ago."""
    ctx.logger.info("%s at %s", args.supplier, ctx.scheduled_for)
