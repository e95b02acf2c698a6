"""Lag: which queue is behind, since when, is it catching up, and which partition holds it up."""

from __future__ import annotations

from grafana.src.expressions import (
    APP,
    ARRIVALS,
    BUSINESS,
    DRAIN,
    DRAINS_IN,
    IDLE,
    LADDER,
    MEMBERS,
    OBJECTIVE,
    OVERDUE,
    PLACE,
    QUEUE,
    WAITING,
)
from grafana.src.kinds import by, count, figure, graph, grid, highest, totals
from grafana.src.panel import GOOD, QUIET, At, Board, Column, Step, Table

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

AWAY = (
    "max by (queue, reason) "
    f'(jobs_ladder_estimate_records{{{QUEUE}, reason!~"retry|later|other"}})'
)

BEHIND = (
    graph("overdue", "Overdue, and the objective (dashed)",
          "How long the oldest unfinished job has been overdue, with the objective of the queue "
          "as a dashed line. Worry above the dashed line. Climbing one second per second: the "
          "oldest job is not being worked on at all.",
          "s", by("queue", OVERDUE), by("queue", OBJECTIVE, dashed=True), at=At(0, 0, 12, 9)),
    graph("waiting", "Waiting records",
          "Records between the workers' place and the end of the queue. Say how much work there "
          "is, not how late it is: a fast queue with thousands may be fine. Worry when it only "
          "grows.",
          "short", by("queue", WAITING), at=At(12, 0, 6, 9)),
    figure("drains-in", "Drained in",
           "Waiting records divided by how fast they become fewer now, once nothing else changes. "
           "never: records wait and do not become fewer.",
           "s", by("queue", f"({DRAINS_IN}) or ({WAITING} > 0) * 0 - 1"),
           steps=(GOOD, Step(600, "yellow"), Step(3600, "red")), decimals=0, no_value="unknown",
           words=((-1, "never", "red"),), at=At(18, 0, 6, 9)),
)

FLOW = grid(
    At(0, 9, 12, 7),
    graph("flow", "Arriving, and drained (dashed)",
          "Records written to the queue a second, and records finished there, by the workers' "
          "place in the log. A burst of arrivals explains a backlog. Drained at 0 while records "
          "wait: no worker runs jobs, or one job holds up its partition (see the partitions "
          "below).",
          "suffix:/s", by("queue", ARRIVALS), by("queue", DRAIN, dashed=True)),
    graph("by-type", "Waiting, by job type (an estimate)",
          "What the backlog consists of, from a bounded sample of it. _unknown: records whose "
          "type is not known without running code.",
          "short", highest("jobs_backlog_estimate_records", BUSINESS, "queue, job_type"),
          stacked=True),
)

WHERE = (
    Table(
        "partitions",
        "Which partition? The twenty most overdue",
        "One line per partition of a queue or rung, most overdue first. One partition late and "
        "the others not: a job or a key holds it up. Stalled 1: its place has not moved for two "
        "minutes while there are members. All late alike: too few workers, or none.",
        "short",
        labels=(("topic", "Topic"), ("partition", "Partition")),
        columns=(
            Column(
                "Overdue",
                f"topk(20, max by (topic, partition) (jobs_lag_seconds{{{QUEUE}}}))",
                "s",
                1,
            ),
            *(
                Column(
                    name,
                    f"max by (topic, partition) ({metric}{{{QUEUE}}}) and on (topic, partition) "
                    f"topk(20, max by (topic, partition) (jobs_lag_seconds{{{QUEUE}}}))",
                    "none",
                    0,
                    steps,
                )
                for name, metric, steps in (
                    ("Waiting", "jobs_lag_records", ()),
                    ("Goes on at", "jobs_committed_offset", ()),
                    ("End", "jobs_log_end_offset", ()),
                    ("Stalled", "jobs_partition_stalled", (QUIET, Step(1, "red"))),
                )
            ),
        ),
        sort_by="Overdue",
        at=At(0, 16, 18, 8),
    ),
    count("stalled", "Stalled",
          "Partitions with overdue records and members, whose place has not moved for two "
          "minutes. Typical: a handler that never returns, a poisoned key.",
          f"sum(max by ({PLACE}) (jobs_partition_stalled{{{QUEUE}}}))", "red", at=At(18, 16, 3, 4)),
    count("uncommitted", "Never committed",
          "Partitions with records for which the group has no place yet. Normal for a minute "
          "after a first start; later it means that these workers never came.",
          f"sum(max by (group, topic) (jobs_uncommitted_partitions{{{APP}}}))", "orange",
          at=At(21, 16, 3, 4)),
    count("lost", "Lost to retention",
          "Unfinished records that retention deleted in the shown range. Anything but 0 is lost "
          "data.",
          "sum(max by (group, topic) "
          f"(increase(jobs_lost_to_retention_records_total{{{APP}}}[$__range])))", "red",
          decimals=0, at=At(18, 20, 3, 4)),
    count("rewinds", "Rewinds",
          "How often a committed place went back in the shown range. A reset on purpose counts; "
          "one that was not intended runs jobs again that the dedup table no longer remembers.",
          f"sum(max by (group, topic) (increase(jobs_rewinds_total{{{APP}}}[$__range])))", "orange",
          decimals=0, at=At(21, 20, 3, 4)),
)

WHO = grid(
    At(0, 24, 8, 7),
    graph("members", "Members, and idle ones (dashed)",
          "Members of each consumer group, and (dashed) those without a partition. Worry at 0. "
          "Idle members do not help: more workers than partitions.",
          "none", by("group", MEMBERS), by("group", IDLE, dashed=True)),
    graph("retention", "Retention used",
          "Age of the oldest unfinished record as a share of the topic's retention. At 100 % "
          "Kafka deletes jobs that were never run. Worry at half.",
          "percentunit", highest("jobs_retention_used_ratio", QUEUE, "queue"),
          steps=(GOOD, Step(0.5, "red"))),
    graph("gap", "Finished, not committable",
          "Records that are settled above the oldest unfinished one. They inflate the records "
          "shown as waiting, and one slow job explains them. They do not run again after a crash.",
          "short", totals("jobs_commit_gap_records", QUEUE, "queue")),
)

BESIDE = grid(
    At(0, 31, 8, 7),
    graph("waits", "Why jobs wait",
          "Jobs that workers have taken and that wait in memory, by what for: their order key, a "
          "unique key, a pause, a rate or concurrency limit, their tenant's turn, a breaker, the "
          "flood guard, a time to come. A slot is no reason here. Dashed: those that left for the "
          "delay ladder meanwhile, an estimate. Worry when one grows "
          "without end: `jobstream explain` says it for one job.",
          "short", by("reason", f"sum by (reason) (jobs_waiting{{{QUEUE}}}) > 0"),
          by("reason", f"sum by (reason) ({AWAY}) > 0", dashed=True),
          may_be_empty="nothing waits for anything but a slot"),
    graph("rungs", "Waiting on the delay ladder",
          "Retries and delayed jobs by rung: how many wait, as wanted. A step after an outage is "
          "the retries of that outage; they come back by themselves.",
          "short", by("tier", f"sum by (tier) (max by ({PLACE}) (jobs_lag_records{{{LADDER}}}))"),
          stacked=True),
    graph("rungs-overdue", "Overdue on the delay ladder",
          "How long the most overdue record of each rung is past its time. Near 0 however many "
          "wait. Rising: the delayer is away or behind.",
          "s", highest("jobs_lag_seconds", LADDER, "tier")),
)

LAG = Board(
    "jobstream-lag",
    "Jobs: lag",
    "Which queue is late, and is it catching up?",
    (*BEHIND, *FLOW, *WHERE, *WHO, *BESIDE),
)
