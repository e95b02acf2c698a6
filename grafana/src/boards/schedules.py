"""Schedules: what became of their ticks, how late they were, and which of them can't fire."""

from __future__ import annotations

from grafana.src.expressions import APP, RATE, quantile
from grafana.src.kinds import by, graph, grid, highest
from grafana.src.panel import At, Board, Query

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

SCHEDULED = grid(
    At(0, 0, 8, 7),
    graph("ticks", "Ticks of schedules",
          "Ticks a minute by what became of them. fired: a job. merged, missed: nobody was there "
          "to fire them. skipped: the job before went on, or the schedule was paused. Worry about "
          "missed; `jobstream schedules list` tells whose.",
          "none",
          by(
              "outcome",
              f"60 * sum by (outcome) (rate(jobs_schedule_ticks_total{{{APP}}}{RATE}))",
          ),
          may_be_empty="an app without schedules has no ticks"),
    graph("tick-lateness", "Schedules: how late, 99 %",
          "From a tick to the acknowledgement of its job. Milliseconds are normal; seconds mean a "
          "failover, or brokers that are slow.",
          "s", Query(quantile(0.99, "jobs_schedule_lateness_seconds", APP), "99 %"),
          may_be_empty="an app without schedules has no ticks"),
    graph("broken-schedules", "Schedules that can't fire",
          "1 for each, with the reason. undeclared: the code has dropped it, so remove it. "
          "Worry about any other: its jobs are not made. Empty as well where no process runs "
          "schedules: then none of them fires.",
          "none", highest("jobs_schedules_broken", APP, "schedule, why"), top=1,
          may_be_empty="a schedule has a series while it can't fire"),
)

SCHEDULES = Board(
    "jobstream-schedules",
    "Jobs: schedules",
    "Does every schedule fire, and on time?",
    (*SCHEDULED,),
)
