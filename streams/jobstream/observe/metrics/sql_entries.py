"""Metrics about the tables in the user's own database: how old the outbox is, and what it holds."""

from __future__ import annotations

from jobstream.observe.metrics.metric import Metric

# fmt: off
SQL: tuple[Metric, ...] = (
    Metric("jobs_outbox_oldest_seconds", "gauge", "relay", (),
           "How old the oldest row is that waits to be published, by the clock of the database. It "
           "grows while the relay can not look. Rows that are set aside do not count."),
    Metric("jobs_outbox_rows", "gauge", "relay", (),
           "Rows that wait to be published; more than 100,000 are not counted."),
    Metric("jobs_outbox_set_aside_rows", "gauge", "relay", (),
           "Rows that can't be published as they are: `jobstream relay status` names them."),
    Metric("jobs_outbox_published_total", "counter", "relay", (),
           "Rows whose jobs Kafka has acknowledged to this relay."),
    Metric("jobs_outbox_refused_total", "counter", "relay", (),
           "Rows that this relay has set aside."),
    Metric("jobs_outbox_unacknowledged_total", "counter", "relay", (),
           "Rows that were sent without an acknowledgement, and wait again. Their jobs may be in "
           "the log; published again, they are the same jobs."),
    Metric("jobs_outbox_held_topics", "gauge", "relay", (),
           "Topics that take nothing just now: missing, refused or without a leader. Their rows "
           "wait, and hold up no others."),
    Metric("jobs_inbox_swept_total", "counter", "relay", (),
           "Marks of the inbox that this relay has deleted, since no job can come back to them."),
)
# fmt: on
