"""Metrics about the read side: how old its rows are, and whether it stores any."""

from __future__ import annotations

from jobstream.observe.metrics.metric import Metric

# fmt: off
VIEWS: tuple[Metric, ...] = (
    Metric("jobs_views_behind_seconds", "gauge", "views", (),
           "How old the answers from the database are: the age of the oldest record that is not in "
           "it, of all partitions. It grows while nothing can be looked at."),
    Metric("jobs_views_behind_records", "gauge", "views", (),
           "Records of all partitions that are not in the database yet."),
    Metric("jobs_views_folded_records_total", "counter", "views", (),
           "Records that this process has folded and stored."),
    Metric("jobs_views_transactions_total", "counter", "views", (),
           "Transactions in which it stored them."),
    Metric("jobs_views_write_seconds_total", "counter", "views", (),
           "How long it has read, folded and stored for them, decoding included."),
    Metric("jobs_views_stalled", "gauge", "views", (),
           "1 while the database takes nothing: locked, full or gone. Nothing is lost meanwhile."),
    Metric("jobs_views_look_failures_total", "counter", "views", (),
           "Looks at the cluster, or at its own tables, that failed and are made again."),
)
# fmt: on
