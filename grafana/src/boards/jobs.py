"""Job types and failures: which type fails, how, how long it takes, and what becomes of it."""

from __future__ import annotations

from grafana.src.expressions import JOB, QUEUE, failing, quantile, rate
from grafana.src.kinds import by, figure, graph, grid, highest, percentiles, rates
from grafana.src.panel import GOOD, QUIET, At, Board, Column, Step, Table

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

P95_RUN = quantile(0.95, "jobs_run_duration_seconds", JOB, "job_type")
EXPECTED = f"max by (job_type) (jobs_expected_seconds{{{JOB}}})"
FAILING = (QUIET, Step(0.05, "yellow"), Step(0.2, "red"))

NOW = grid(
    At(0, 0, 24, 8),
    Table(
        "types",
        "Which job type fails, or takes longer than it says?",
        "One line per job type, most failing first. Failing is the share of the runs that failed,"
        " retries in place included. Slow compares the 95 % run time with what the type says is"
        " normal (`expect=`). Worry about red; a type that fails alone points at its handler, all"
        " types together at something they share.",
        "short",
        labels=(("job_type", "Job type"),),
        columns=(
            Column("Failing", failing("job_type", JOB), "percentunit", 0, FAILING, "-"),
            Column("Settled", rate("jobs_settled_total", JOB, "job_type"), "suffix:/s", 1),
            Column("Retries", rate("jobs_retries_total", JOB, "job_type"), "suffix:/s", 2),
            Column("Run time, 95 %", P95_RUN, "s"),
            Column("Expected", EXPECTED, "s", None, (), "-"),
            Column(
                "Slow",
                f"{P95_RUN} / {EXPECTED}",
                "percentunit",
                0,
                (QUIET, Step(1, "yellow"), Step(3, "red")),
                "-",
            ),
            Column(
                "End to end, 95 %", quantile(0.95, "jobs_end_to_end_seconds", JOB, "job_type"), "s"
            ),
            Column("Running", f"sum by (job_type) (jobs_running{{{JOB}}})", "none", 0),
            Column(
                "Dead letters",
                f"sum by (job_type) (max by (queue, job_type, reason) "
                f"(jobs_open_dead_letters{{{JOB}}}))",
                "none",
                0,
                (QUIET, Step(1, "orange")),
                "0",
            ),
        ),
        sort_by="Failing",
    ),
)

RED = grid(
    At(0, 8, 8, 7),
    graph("rate", "Settled, by job type",
          "Deliveries settled a second. Worry when a type stops that should not.",
          "suffix:/s", rates("jobs_settled_total", JOB, "job_type"), stacked=True),
    graph("failing", "Failing, by job type",
          "Share of the runs that failed, retries in place included. A jump right after a deploy "
          "is that deploy.",
          "percentunit", by("job_type", failing("job_type", JOB)), top=1),
    graph("kinds", "How runs fail",
          "Failed runs a second by kind. transient: tried again. permanent: dead letter at once. "
          "timeout: past its limit. crashed: it took its process with it. Worry about crashed and "
          "permanent.",
          "suffix:/s",
          by("job_type, kind", f"{rate('jobs_failures_total', JOB, 'job_type, kind')} > 0"),
          stacked=True),
)

DURATION = grid(
    At(0, 15, 8, 7),
    graph("run-time", "Time in the handler, 95 %",
          "Run time alone. It rises before the backlog does: then what handlers call is slow. "
          "Read it beside Settled; failed runs count, too.",
          "s", by("job_type", P95_RUN)),
    graph("queue-wait", "Waiting before the start, 95 %",
          "From the append to the queue to the start of the run. Rises with the backlog, for all "
          "types of a queue alike.",
          "s", percentiles(0.95, "jobs_queue_wait_seconds", JOB, "job_type")),
    graph("end-to-end", "From enqueue to the end, 95 %",
          "Retries and wanted delays included. A retry shows here, not in the run time of its "
          "type.",
          "s", percentiles(0.95, "jobs_end_to_end_seconds", JOB, "job_type")),
    graph("attempts", "Attempts used, mean",
          "Attempts a job had used at its terminal state. 1 is best. Worry when it nears the "
          "limit of the type's backoff: dead letters follow.",
          "short",
          by(
              "job_type",
              f"{rate('jobs_attempts_sum', JOB, 'job_type')} / "
              f"({rate('jobs_attempts_count', JOB, 'job_type')} > 0)",
          )),
    graph("enqueued", "Enqueued by scraped services",
          "Jobs acknowledged by the broker a second, from services that expose `app.metrics()` "
          "and from handlers that enqueue. Lower than what arrives: some service is not scraped.",
          "suffix:/s", rates("jobs_enqueued_total", JOB, "job_type")),
    graph("enqueue-failures", "Enqueues that failed",
          "Enqueues that raised, a second, by class of the error. An EnqueueTimeout may be "
          "written; the others are not. Worry about any: the job may not exist.",
          "suffix:/s", rates("jobs_enqueue_failures_total", JOB, "job_type, error"),
          may_be_empty="a class of error has a series once an enqueue failed with it"),
)

AFTER = grid(
    At(0, 29, 8, 7),
    graph("retries", "Retries, by rung",
          "Retries and snoozes a second by the first rung they were put on. Long rungs mean late "
          "attempts: the trouble has lasted for a while.",
          "suffix:/s", rates("jobs_retries_total", JOB, "rung"), stacked=True),
    graph("hops", "Moved on by the delayer",
          "Records that left a rung, a second, by where they went. queue: their time had come.",
          "suffix:/s", rates("jobs_hops_total", QUEUE, "to"), stacked=True),
    graph("lateness", "Delayed jobs: how late, 99 %",
          "How long after its due time a job was put back on its queue. Milliseconds are normal; "
          "seconds mean that the delayer is behind.",
          "s", percentiles(0.99, "jobs_delay_lateness_seconds", QUEUE, "queue")),
    graph("dead", "Dead letters written, by reason",
          "Dead letters a second. exhausted: every attempt failed. permanent, undecodable: trying "
          "again would not help. Worry about any; `jobstream dlq list` shows them.",
          "suffix:/s",
          by("job_type, reason", f"{rate('jobs_dead_letters_total', JOB, 'job_type, reason')} > 0"),
          stacked=True),
    graph("open", "Open dead letters",
          "Open dead letters by type and reason. Falls when they are redriven or discarded.",
          "short", highest("jobs_open_dead_letters", JOB, "queue, job_type, reason"), stacked=True),
    figure("oldest-letter", "Oldest open dead letter",
           "Age of the oldest letter of each queue; 0 when there is none. At the topic's "
           "retention (30 days by default) Kafka deletes it, and with it the only copy.",
           "s", highest("jobs_oldest_dead_letter_seconds", QUEUE, "queue"),
           steps=(GOOD, Step(86_400, "yellow"), Step(20 * 86_400, "red")), decimals=0),
)

JOBS = Board(
    "jobstream-jobs",
    "Jobs: types and failures",
    "Which job type fails, or is slow?",
    (*NOW, *RED, *DURATION, *AFTER),
    with_job_type=True,
)
