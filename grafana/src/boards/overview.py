"""Overview: are jobs late? One table says which queue, the graphs below say since when and why."""

from __future__ import annotations

from grafana.src.expressions import (
    APP,
    ARRIVALS,
    BUSINESS,
    DRAIN,
    DRAINS_IN,
    MEMBERS,
    OBJECTIVE,
    OPEN_LETTERS,
    OVERDUE,
    QUEUE,
    SHARE,
    WAITING,
    failing,
    quantile,
)
from grafana.src.kinds import by, count, figure, graph, grid, percentiles, rates
from grafana.src.panel import GOOD, QUIET, At, Board, Column, Query, Step, Table

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

LATE = (QUIET, Step(0.5, "yellow"), Step(1, "red"))

NOW = (
    Table(
        "queues",
        "Are jobs late? Each queue against its objective",
        "How long the oldest job of each queue has been overdue, by broker time, and what share of "
        "the queue's objective (`slo=`) that is. Delayed jobs and retries count from their due "
        "time. Worry when Used is red: jobs are later than promised. Then read along the line: no "
        "drain means that no worker runs jobs; more arriving than drained means too few workers; "
        "failing high means the jobs themselves.",
        "short",
        labels=(("queue", "Queue"),),
        columns=(
            Column("Used", SHARE, "percentunit", 0, LATE),
            Column("Overdue", OVERDUE, "s", 1),
            Column("Objective", OBJECTIVE, "s"),
            Column("Waiting", WAITING),
            Column("Arriving", ARRIVALS, "suffix:/s", 1),
            Column("Drained", DRAIN, "suffix:/s", 1),
            Column("Drained in", DRAINS_IN, "s", 0, no_value="never"),
            Column(
                "Failing",
                failing("queue", BUSINESS),
                "percentunit",
                0,
                (QUIET, Step(0.05, "yellow"), Step(0.2, "red")),
                no_value="-",
            ),
            Column(
                "Dead letters",
                f"sum by (queue) ({OPEN_LETTERS})",
                "short",
                0,
                (QUIET, Step(1, "orange")),
                no_value="0",
            ),
        ),
        sort_by="Used",
        link=("queue", "jobstream-lag"),
        at=At(0, 0, 16, 8),
    ),
    count("late-queues", "Late queues",
          "Queues whose oldest job is overdue for longer than their objective. Anything but 0 "
          "breaks a promise. No data means that the exporter is away: lateness is then not "
          "measured.",
          f"sum({OVERDUE} > bool {OBJECTIVE})", "red", no_value="unknown", at=At(16, 0, 4, 4)),
    count("open-letters", "Open dead letters",
          "Jobs that failed for good and were neither redriven nor discarded. Each waits for a "
          "person, until the retention of the dead-letter topic deletes it.",
          f"sum({OPEN_LETTERS})", "orange", no_value="0", at=At(20, 0, 4, 4)),
    figure("members", "Members by group",
           "Workers, and delayers (the group that ends in .delay), as the broker counts them. "
           "Worry at 0: the queues of that group stand still, however quiet the workers' own "
           "metrics are.",
           "none", by("group", MEMBERS), steps=(Step(0, "red"), Step(1, "green")),
           no_value="unknown", at=At(16, 4, 4, 4)),
    figure("canary-age", "Last canary",
           "How long ago a canary job was last seen done, for the worst queue. A canary goes the "
           "way of every job; twice the canary's interval without one means that the way is "
           "broken.",
           "s", Query(f"max(time() - jobs_canary_last_success_timestamp_seconds{{{QUEUE}}})"),
           steps=(GOOD, Step(90, "yellow"), Step(180, "red")), decimals=0, no_value="no canary",
           at=At(20, 4, 4, 4)),
)

SINCE = grid(
    At(0, 8, 12, 8),
    graph("share", "Overdue, as a share of the objective",
          "The first column of the table over time; 100 % is the promise. A line that climbs as "
          "steadily as a clock means that nothing is done at all; a flat one that work keeps "
          "pace, late.",
          "percentunit", by("queue", SHARE), steps=(GOOD, Step(1, "red"))),
    graph("flow", "Arriving, and drained (dashed)",
          "Records written to each queue and records finished there, a second, from all "
          "producers; retries that came back count again. Worry when drained (dashed) stays under "
          "arriving.",
          "suffix:/s", by("queue", ARRIVALS), by("queue", DRAIN, dashed=True)),
)

WHY = grid(
    At(0, 16, 8, 8),
    graph("failing", "Failing, by job type",
          "Share of the runs that failed, retries in place included. Worry above 20 %, or when it "
          "jumps after a deploy: Job types and failures has the details.",
          "percentunit", by("job_type", failing("job_type", BUSINESS)), top=1),
    graph("outcomes", "How deliveries end",
          "Settled deliveries a second by outcome. Retries are not lost: they come back. Worry "
          "about dead, and when everything stops.",
          "suffix:/s", rates("jobs_settled_total", BUSINESS, "outcome"), stacked=True,
          colors=(
              ("done", "green"),
              ("retry", "yellow"),
              ("snoozed", "blue"),
              ("dead", "red"),
              ("cancelled", "purple"),
              ("expired", "text"),
              ("duplicate", "orange"),
          )),
    graph("end-to-end", "From enqueue to the end",
          "Time from the first enqueue to the terminal state, retries and wanted delays included: "
          "what a user of the service feels. Median, 95 % and 99 %.",
          "s",
          *(
              (
                  Query(quantile(share, "jobs_end_to_end_seconds", BUSINESS), name)
                  for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
              )
          ),
          colors=(("median", "blue"), ("95 %", "orange"), ("99 %", "red"))),
    graph("queue-wait", "Waiting before the start, 95 %, by queue",
          "Time between the append to the queue and the start of the run, of jobs that did start. "
          "Waiting that grows while run time does not: add workers.",
          "s", percentiles(0.95, "jobs_queue_wait_seconds", BUSINESS, "queue")),
    graph("run-time", "Time in the handler, 95 %, by queue",
          "Run time alone, without waiting for a slot. Run time that grows first: look at what "
          "the handlers call.",
          "s", percentiles(0.95, "jobs_run_duration_seconds", BUSINESS, "queue")),
    graph("canary", "Canary round trip, 95 %",
          "From the enqueue of a canary job to the row that says it is done: the whole way, "
          "measured from outside. Rises with the queue's backlog; a gap means that none came back.",
          "s", percentiles(0.95, "jobs_canary_round_trip_seconds", QUEUE, "queue")),
)

HONEST = (
    figure("fresh", "In time, over the shown range",
           "Share of the shown range in which no job of the queue was later than its objective. "
           "Four weeks at 99 % leave seven hours.",
           "percentunit",
           by("queue", f"1 - avg_over_time(({OVERDUE} > bool {OBJECTIVE})[$__range:$__interval])"),
           steps=(Step(0, "red"), Step(0.99, "green")), decimals=2, at=At(0, 32, 16, 4)),
    figure("age-of-values", "The exporter looked",
           "How long ago the exporter last saw the cluster. Everything about lag is as old as "
           "this. Worry above a minute: the lag shown is not the lag.",
           "s", Query(f"time() - max(jobs_collect_last_success_timestamp_seconds{{{APP}}})"),
           steps=(GOOD, Step(60, "yellow"), Step(120, "red")), decimals=0, no_value="exporter away",
           at=At(16, 32, 4, 4)),
    figure("views-behind", "Answers are old by",
           "How old the answers from the database of all jobs are; no views: nobody keeps it up. "
           "Jobs do not depend on it: only pages and queries are late.",
           "s", Query(f"max(jobs_views_behind_seconds{{{APP}}})"),
           steps=(GOOD, Step(10, "yellow"), Step(60, "red")), decimals=0, no_value="no views",
           may_be_empty="an app without `jobstream views` has no database", at=At(20, 32, 4, 4)),
)

OVERVIEW = Board(
    "jobstream-overview", "Jobs: overview", "Are jobs late?", (*NOW, *SINCE, *WHY, *HONEST)
)
