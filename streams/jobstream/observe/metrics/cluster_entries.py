"""Metrics that only an onlooker can know: lag, dead letters, groups; and the canary's."""

from __future__ import annotations

from jobstream.observe.metrics.metric import BY_TYPE, PLACE, WAIT_S, Metric

# fmt: off
CLUSTER: tuple[Metric, ...] = (
    # -- what only an onlooker can know
    Metric("jobs_lag_records", "gauge", "exporter", PLACE,
           "Records between the group's watermark and the end. On a rung: all that wait there."),
    Metric("jobs_lag_seconds", "gauge", "exporter", PLACE,
           "How long the oldest unfinished record has been overdue, by broker time; a delayed "
           "job is overdue only after its due time. 0 when nothing waits."),
    Metric("jobs_log_start_offset", "gauge", "exporter", PLACE, "First offset kept."),
    Metric("jobs_log_end_offset", "gauge", "exporter", PLACE, "Next offset to be written."),
    Metric("jobs_committed_offset", "gauge", "exporter", PLACE,
           "Where the group goes on: the higher of what it committed and what it mirrored."),
    Metric("jobs_uncommitted_partitions", "gauge", "exporter", ("group", "topic"),
           "Partitions with records for which the group never committed nor mirrored a place."),
    Metric("jobs_partition_stalled", "gauge", "exporter", PLACE,
           "1 while overdue records wait, the group has members, and its place has not moved for "
           "two minutes."),
    Metric("jobs_rewinds_total", "counter", "exporter", ("group", "topic"),
           "How often a committed place was seen to go back."),
    Metric("jobs_lost_to_retention_records_total", "counter", "exporter", ("group", "topic"),
           "Unfinished records that retention deleted: the log's start passed the group's place."),
    Metric("jobs_retention_used_ratio", "gauge", "exporter", ("topic", "queue", "tier"),
           "Age of the oldest unfinished record as a share of the topic's retention; at 1 it is "
           "lost."),
    Metric("jobs_backlog_estimate_records", "gauge", "exporter", BY_TYPE,
           "Waiting jobs by type: an estimate from a bounded sample of the backlog."),
    Metric("jobs_ladder_estimate_records", "gauge", "exporter", ("queue", "reason"),
           "Jobs on the delay ladder by what they wait for: retry, later (a time), or the rule "
           "that says when their turn is. An estimate from a sample, a minute old at most."),
    Metric("jobs_ladder_oldest_seconds", "gauge", "exporter", ("queue", "reason"),
           "Since when the first of that sample has waited for it: since its first failure, for a "
           "retry."),
    Metric("jobs_open_dead_letters", "gauge", "exporter", ("queue", "job_type", "reason"),
           "Open dead letters: neither redriven nor discarded, and their job is not done."),
    Metric("jobs_oldest_dead_letter_seconds", "gauge", "exporter", ("queue",),
           "Age of the oldest open dead letter; 0 when there is none."),
    Metric("jobs_group_members", "gauge", "exporter", ("group",),
           "Members of the consumer group; 0 when the broker does not know the group."),
    Metric("jobs_group_idle_members", "gauge", "exporter", ("group",),
           "Members without a partition."),
    Metric("jobs_queue_objective_seconds", "gauge", "exporter", ("queue",),
           "Freshness that the queue promises (`slo=`): no job is to be overdue for longer."),
    Metric("jobs_control_entries", "gauge", "exporter", ("kind",),
           "Entries in force on the control topic: pauses, cancels, quieted and drained workers."),
    Metric("jobs_collect_duration_seconds", "gauge", "exporter", (),
           "How long the last look at the cluster took."),
    Metric("jobs_collect_failures_total", "counter", "exporter", (),
           "Looks at the cluster that failed; the values shown are then of an earlier one."),
    Metric("jobs_collect_last_success_timestamp_seconds", "gauge", "exporter", (),
           "When the values shown were taken."),
    # -- canary
    Metric("jobs_canary_sent_total", "counter", "canary", ("queue",), "Canary jobs enqueued."),
    Metric("jobs_canary_failures_total", "counter", "canary", ("queue", "reason"),
           "Canary jobs that were not enqueued (enqueue), not done in time (timeout), or settled "
           "as something else, by that state."),
    Metric("jobs_canary_round_trip_seconds", "histogram", "canary", ("queue",),
           "From the enqueue of a canary job to the row that says it is done.", WAIT_S),
    Metric("jobs_canary_last_success_timestamp_seconds", "gauge", "canary", ("queue",),
           "When a canary job of the queue was last seen done; the start of the process until "
           "then."),
    # -- every process
    Metric("jobs_build_info", "gauge", "every role", ("version", "build", "role", "app"),
           "1; what runs here."),
)
# fmt: on
