"""Metrics about jobs, from the services that enqueue them and the workers that run them."""

from __future__ import annotations

from jobstream.observe.metrics.metric import ATTEMPTS, BY_TYPE, RUN_S, WAIT_S, Metric

# fmt: off
JOBS: tuple[Metric, ...] = (
    # -- what a service that enqueues knows
    Metric("jobs_enqueued_total", "counter", "producer", BY_TYPE,
           "Jobs acknowledged by the broker, child jobs included. Jobs that child processes "
           "enqueue are not seen, and canaries are the canary's to count."),
    Metric("jobs_enqueue_failures_total", "counter", "producer", (*BY_TYPE, "error"),
           "Enqueues that raised, by class of the error; an EnqueueTimeout may be written."),
    Metric("jobs_enqueue_duration_seconds", "histogram", "producer", BY_TYPE,
           "From the call to the acknowledgement, single enqueues only.", RUN_S),
    Metric("jobs_enqueues_over_bound_total", "counter", "producer", ("queue", "bound", "mode"),
           "Enqueues while the queue was over `depth_max` or `age_max`: refused with QueueBehind, "
           "or let in where mode is warn."),
    Metric("jobs_back_pressure_blind", "gauge", "producer", ("queue",),
           "1 while the lag of a queue with bounds is not known to this process, so that nothing "
           "is refused."),
    # -- rate, errors, duration of jobs, from the worker that ran them
    Metric("jobs_settled_total", "counter", "worker", (*BY_TYPE, "outcome"),
           "Deliveries settled: done, retry, snoozed, dead, cancelled, expired, duplicate. One per "
           "delivery, so a job that was retried twice and then done counts three times."),
    Metric("jobs_failures_total", "counter", "worker", (*BY_TYPE, "kind"),
           "Runs that failed: transient, permanent, timeout, crashed; and undecodable records."),
    Metric("jobs_run_duration_seconds", "histogram", "worker", (*BY_TYPE, "result"),
           "Time in the handler alone, waiting for a slot left out. result: ok or error.", RUN_S),
    Metric("jobs_queue_wait_seconds", "histogram", "worker", BY_TYPE,
           "From the append to the queue (a retry or a delayed job: when it came back to it) to "
           "the start of the run, by broker time.", WAIT_S),
    Metric("jobs_end_to_end_seconds", "histogram", "worker", BY_TYPE,
           "From the job's first append, by the broker's clock, to the terminal state: retries "
           "and wanted delays included. After a redrive, from that.", WAIT_S),
    Metric("jobs_attempts", "histogram", "worker", BY_TYPE,
           "Attempts a job had used when it reached its terminal state.", ATTEMPTS),
    Metric("jobs_retries_total", "counter", "worker", (*BY_TYPE, "rung"),
           "Retries and snoozes by the rung they were put on first; `in place` for hold_key."),
    Metric("jobs_postponed_total", "counter", "worker", (*BY_TYPE, "reason"),
           "Jobs whose turn was later than a moment, so that they left for the delay ladder "
           "without using an attempt, by reason."),
    Metric("jobs_dead_letters_total", "counter", "worker", (*BY_TYPE, "reason"),
           "Dead letters written, by reason. How many are open is the exporter's to say."),
    Metric("jobs_expected_seconds", "gauge", "worker", BY_TYPE,
           "The run time that the job type says is normal (`expect=`)."),
)
# fmt: on
