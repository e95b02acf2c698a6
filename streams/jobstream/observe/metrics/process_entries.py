"""Metrics about what a worker or delayer is doing, and about its Kafka clients."""

from __future__ import annotations

from jobstream.observe.metrics.metric import BY_TYPE, LATE_S, RUN_S, Metric

# fmt: off
PROCESS: tuple[Metric, ...] = (
    # -- saturation of a worker
    Metric("jobs_in_flight", "gauge", "worker", ("queue",),
           "Deliveries taken and not settled yet: waiting for a slot, running or settling."),
    Metric("jobs_running", "gauge", "worker", BY_TYPE, "Handlers that run now."),
    Metric("jobs_concurrency_limit", "gauge", "worker", (),
           "Handlers this process runs at once at most, all executors together that its types "
           "use."),
    Metric("jobs_oldest_running_seconds", "gauge", "worker", BY_TYPE,
           "How long the longest running handler has been running."),
    Metric("jobs_stuck_handlers", "gauge", "worker", (),
           "Handlers past their time limit that still hold a slot."),
    Metric("jobs_waiting", "gauge", "worker", ("queue", "reason"),
           "Jobs taken that wait in memory for something other than a slot, counted about once a "
           "second. reason: key, unique, paused, rate, concurrency, fair, breaker, flood, later, "
           "same_id, silent, unannounced."),
    Metric("jobs_waiting_oldest_seconds", "gauge", "worker", ("queue", "reason"),
           "For how long the first of them has waited for it, on the ladder as well, or has been "
           "on the queue."),
    Metric("jobs_commit_gap_records", "gauge", "worker", ("queue",),
           "Records finished above the watermark: settled, and not committable yet."),
    Metric("jobs_partitions_assigned", "gauge", "worker", ("queue",), "Partitions owned here."),
    Metric("jobs_partitions_restoring", "gauge", "worker", ("queue",),
           "Partitions owned whose dedup table is still being restored."),
    Metric("jobs_takeover_seconds", "histogram", "worker", ("queue", "phase"),
           "How long a partition stood still when it came here, by phase: detect (since the last "
           "word of an owner that died), ask (what is committed), queue (for a thread), place "
           "(mirror and log), claim, restore (the dedup table), announce (what may begin), "
           "start. Then, while its other jobs run: suspects, until the last has ended.", RUN_S),
    Metric("jobs_partitions_paused", "gauge", "worker", ("queue", "reason"),
           "Partitions paused: no_room (process full), window (partition full), operator, quiet, "
           "leaving (to be given back once its jobs have ended); not_in_log: its next offset is "
           "not in the log; undeclared: the queue declares fewer partitions. In the last two an "
           "operator must decide."),
    Metric("jobs_flood_guards_closed", "gauge", "worker", ("queue",),
           "Partitions held because handler after handler died in them."),
    Metric("jobs_breaker_state", "gauge", "worker", ("breaker",),
           "What the circuit breaker lets through here: 0 closed, all; 1 half-open, probes; "
           "2 open, nothing."),
    Metric("jobs_breaker_openings_total", "counter", "worker", ("breaker", "by"),
           "How often the breaker opened here, by what: own (runs here failed), shared (another "
           "worker found it failing), operator. A probe that failed counts as own."),
    Metric("jobs_rebalances_total", "counter", "worker", ("group", "type"),
           "Changes of assignment: assigned, revoked, lost. `lost` means this member was given "
           "up."),
    Metric("jobs_cut_total", "counter", "worker", ("queue",),
           "Runs that were cut because their partition or their worker had to go, and start "
           "again."),
    Metric("jobs_publish_retries_total", "counter", "worker", (),
           "Settlements that were not acknowledged and are tried again."),
    Metric("jobs_dedup_hits_total", "counter", "worker", ("queue",),
           "Deliveries dropped because a row says they are settled or replaced."),
    Metric("jobs_dedup_rows", "gauge", "worker", ("queue",),
           "Rows in the local shards of the partitions owned here; RocksDB's estimate."),
    Metric("jobs_dedup_rows_budget", "gauge", "worker", ("queue",),
           "Rows up to which a partition is served again within 15 s, times the partitions owned."),
    Metric("jobs_dedup_memory_bytes", "gauge", "worker", (),
           "What the local shards of this process have in memory: blocks, filters and rows that "
           "are not written yet, at most about 32 MiB. Other memory that grows is a leak."),
    Metric("jobs_loop_seconds_total", "counter", "worker", ("part",),
           "Where the time of the thread that polls goes: poll, hand, wait, commit, other. The "
           "parts sum to wall clock."),
    Metric("jobs_schedules_declared", "gauge", "worker", (),
           "Schedules that the code of this worker declares, whether or not it fires "
           "them."),
    Metric("jobs_last_poll_timestamp_seconds", "gauge", "worker", ("group",),
           "When the consumer was polled last."),
    # -- the delay ladder
    Metric("jobs_hops_total", "counter", "delayer", ("queue", "rung", "to"),
           "Records moved on by the delayer; `to` is a rung, `queue` or `dlq`."),
    Metric("jobs_delay_lateness_seconds", "histogram", "delayer", ("queue",),
           "How long after its due time a job was put back on its queue, by broker time.", LATE_S),
    Metric("jobs_delayed_held_records", "gauge", "delayer", ("queue", "rung"),
           "Waiting records held in memory; the others wait in the log."),
    # -- schedules
    Metric("jobs_schedule_ticks_total", "counter", "scheduler", ("schedule", "outcome"),
           "What became of ticks: fired; missed (no scheduler ran, and too old or unwanted "
           "later), merged (a later one stands for it), skipped (the job before went on, or the "
           "schedule was paused)."),
    Metric("jobs_schedule_lateness_seconds", "histogram", "scheduler", (),
           "From a tick, its spread included, to the acknowledgement of its job, by broker time. "
           "Ticks that were missed, or waited for the job before, are left out.", LATE_S),
    Metric("jobs_schedules_broken", "gauge", "scheduler", ("schedule", "why"),
           "1 for each schedule owned here that can't fire: unknown_type, args, unknown_schema, "
           "calendar, newer (another version wrote it); undeclared: the code has dropped it."),
    Metric("jobs_schedules_owned", "gauge", "scheduler", (),
           "Schedules of the partitions owned here."),
    # -- the client library, in every role that has one
    Metric("jobs_kafka_brokers_up", "gauge", "every role", ("client",),
           "Brokers this client is connected to."),
    Metric("jobs_kafka_round_trip_seconds", "gauge", "every role", ("client", "broker"),
           "Mean round trip of the last statistics interval."),
    Metric("jobs_kafka_queued_records", "gauge", "every role", ("client",),
           "Records in the client's queues: to be sent, or fetched and not taken yet."),
    Metric("jobs_kafka_request_errors_total", "counter", "every role", ("client",),
           "Requests that failed or timed out, and lost connections, as the client counts them."),
)
# fmt: on
