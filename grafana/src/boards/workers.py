"""Worker internals: whether a worker is full, stuck, paused, restoring or cut off from Kafka."""

from __future__ import annotations

from grafana.src.expressions import APP, QUEUE, RATE, rate
from grafana.src.kinds import by, count, graph, grid, highest, rates, totals
from grafana.src.panel import GOOD, At, Board, Query, Step

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

SLOTS = f"sum by (instance) (jobs_concurrency_limit{{{APP}}})"
RUNNING = f"sum by (instance) (jobs_running{{{APP}}})"
LOOP = f"rate(jobs_loop_seconds_total{{{APP}}}{RATE})"

FULL = grid(
    At(0, 0, 8, 7),
    graph("slots", "Are workers full? Slots in use",
          "Handlers that run now, as a share of what the process runs at once. At 100 % with a "
          "backlog: add workers, or concurrency if handlers mostly wait. Low with a backlog: "
          "something holds jobs back; read on below.",
          "percentunit", by("instance", f"{RUNNING} / {SLOTS}"), top=1),
    graph("in-flight", "In flight, by queue",
          "Deliveries taken and not settled yet: waiting for a slot, running or settling. Flat at "
          "a high value: the process is full.",
          "short", totals("jobs_in_flight", QUEUE, "queue"), stacked=True),
    graph("oldest-running", "Longest running handler",
          "How long the longest running handler of each type has been running. A line that climbs "
          "as steadily as a clock is one handler that does not return.",
          "s",
          by(
              "queue, job_type",
              f"max by (queue, job_type) (jobs_oldest_running_seconds{{{QUEUE}}}) > 0",
          )),
)

STOPS = grid(
    At(0, 7, 6, 4),
    count("stuck", "Stuck handlers",
          "Handlers past their time limit that still hold a slot. Threads cannot be killed; "
          "enough of them, and the process is replaced.",
          f"sum(jobs_stuck_handlers{{{APP}}})", "red", no_value="no worker"),
    count("flood", "Flood guards closed",
          "Partitions held because job after job died in them. Nothing is lost; nothing moves "
          "either until the next trial goes well. The cause is shared: a deploy, a service that "
          "is down.",
          f"sum(jobs_flood_guards_closed{{{QUEUE}}})", "red", no_value="no worker"),
    count("restoring", "Partitions restoring",
          "Partitions that are owned and whose dedup table is being restored: no job of theirs "
          "runs. Seconds after a start; worry when it lasts a minute.",
          f"sum(jobs_partitions_restoring{{{QUEUE}}})", "yellow", no_value="no worker"),
    count("publish-retries", "Settlements tried again",
          "Settlements that the broker did not acknowledge, in the shown range. Nothing is lost; "
          "jobs wait. Worry when it rises: the broker is slow, full or away.",
          f"sum(increase(jobs_publish_retries_total{{{APP}}}[$__range]))", "yellow", decimals=0,
          no_value="no worker"),
)

SHARE_OUT = grid(
    At(0, 11, 8, 7),
    graph("assigned", "Partitions owned, by worker",
          "How partitions are shared out. Steps are rebalances. The sum must be all partitions; a "
          "worker without any is idle.",
          "none", totals("jobs_partitions_assigned", QUEUE, "instance"), stacked=True),
    graph("paused", "Partitions paused, by reason",
          "no_room: the process is full. window: one partition is full, mostly behind one slow "
          "job, or one that is retried in place. operator: it is paused, see `jobstream control "
          "list`. not_in_log: its place is not in the log, see `jobstream offsets show`. "
          "undeclared: the topic has more partitions than the queue declares, see `jobstream "
          "topics plan`.",
          "none", totals("jobs_partitions_paused", QUEUE, "reason"), stacked=True,
          colors=(
              ("no_room", "yellow"),
              ("window", "orange"),
              ("operator", "blue"),
              ("leaving", "purple"),
              ("not_in_log", "red"),
              ("undeclared", "purple"),
          )),
    graph("rebalances", "Changes of assignment",
          "Rebalances a second by type. A few at each deploy are normal. lost means that the "
          "group gave this member up: it was frozen or cut off. cut jobs had to stop before their "
          "end, since a drain was over: raise it.",
          "suffix:/s", rates("jobs_rebalances_total", APP, "type"),
          Query(rate("jobs_cut_total", APP, "app"), "cut jobs"),
          colors=(
              ("assigned", "green"),
              ("revoked", "yellow"),
              ("lost", "red"),
              ("cut jobs", "orange"),
          )),
)

TIME = grid(
    At(0, 18, 12, 7),
    graph("loop", "Where the polling thread's time goes",
          "Shares that sum to 100 %. poll: waiting for Kafka, which is idle. hand: giving jobs to "
          "the event loop. wait: held back because workers are full. commit: offsets. Worry when "
          "poll vanishes.",
          "percentunit",
          by("part", f"sum by (part) ({LOOP}) / ignoring(part) group_left sum({LOOP})"),
          stacked=True, top=1,
          colors=(
              ("poll", "green"),
              ("hand", "blue"),
              ("wait", "orange"),
              ("commit", "purple"),
              ("other", "text"),
          )),
    graph("dedup-rows", "Dedup rows, as a share of the budget",
          "Rows in the local tables against the number up to which a partition serves again "
          "within 15 seconds of a kill. Above 100 % a take-over takes longer.",
          "percentunit",
          by(
              "queue",
              f"sum by (queue) (jobs_dedup_rows{{{QUEUE}}}) / "
              f"(sum by (queue) (jobs_dedup_rows_budget{{{QUEUE}}}) > 0)",
          ),
          steps=(GOOD, Step(1, "red"))),
)

MACHINE = grid(
    At(0, 25, 8, 7),
    graph("round-trip", "Kafka: mean round trip",
          "Round trip of requests, worst broker of each client. With a consumer it includes the "
          "time that a fetch waits for records, a tenth of a second when idle. Worry when it "
          "steps up and stays.",
          "s", highest("jobs_kafka_round_trip_seconds", APP, "role, client")),
    graph("cpu", "CPU, by process",
          "Cores used. A worker at 1 is at the end of what one process does for async jobs: run "
          "more processes.",
          "short",
          by(
              "role, instance",
              f"sum by (role, instance) (rate(process_cpu_seconds_total{{{APP}}}{RATE}))",
          )),
    graph("memory", "Memory, by process",
          "Resident memory. Flat after the first hour, whatever the backlog. Worry when it climbs "
          "for hours.",
          "bytes", totals("process_resident_memory_bytes", APP, "role, instance")),
)

MOVES = grid(
    At(0, 32, 24, 7),
    graph("takeovers", "Partitions that stand still, by phase of their take-over",
          "Average number of partitions that wait for their new owner. detect: the group had not "
          "missed the dead one yet. ask, place: brokers are asked. queue: others come first. "
          "claim, announce: a publish. restore: the dedup table. suspects: others of the "
          "partition run already.",
          "short", rates("jobs_takeover_seconds_sum", QUEUE, "phase"), stacked=True),
)

WORKERS = Board(
    "jobstream-workers",
    "Jobs: worker internals",
    "Are workers full, stuck or cut off?",
    (*FULL, *STOPS, *SHARE_OUT, *TIME, *MACHINE, *MOVES),
)
