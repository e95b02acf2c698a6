"""The outbox: how long committed jobs wait for a relay, and rows that can't be published."""

from __future__ import annotations

from grafana.src.expressions import APP, RATE
from grafana.src.kinds import count, graph, grid
from grafana.src.panel import At, Board, Query

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

NONE = "an app without `jobstream relay` has no outbox"

WRITTEN = grid(
    At(0, 0, 8, 7),
    graph("outbox-age", "Outbox: age of the oldest row",
          "How long the oldest committed job has waited to be published, by the clock of the "
          "database. Milliseconds are normal. It grows while brokers or the database are away, and "
          "ends where the last relay does; worry above a minute, and where it ends.",
          "s", Query(f"max(jobs_outbox_oldest_seconds{{{APP}}})", "oldest"),
          may_be_empty=NONE),
    graph("outbox-rows", "Outbox: rows that wait",
          "Rows that are committed and not published yet; more than 100,000 are not counted. Much "
          "of it that shrinks is a burst. Worry while it grows.",
          "none", Query(f"max(jobs_outbox_rows{{{APP}}})", "rows"),
          may_be_empty=NONE),
    graph("outbox-published", "Outbox: published a second",
          "Rows whose jobs Kafka has acknowledged. Unacknowledged ones wait again; their jobs, "
          "published again, are the same jobs.",
          "none",
          Query(f"sum(rate(jobs_outbox_published_total{{{APP}}}{RATE}))", "published"),
          Query(f"sum(rate(jobs_outbox_unacknowledged_total{{{APP}}}{RATE}))", "unacknowledged"),
          may_be_empty=NONE),
)

LEFT = (
    count("outbox-set-aside", "Outbox: rows set aside",
          "Rows that can't be published as they are: bytes that are no job, a job type that the "
          "relay's code does not have, too large. `jobstream relay status` says which and why.",
          f"max(jobs_outbox_set_aside_rows{{{APP}}})", "orange", no_value="no relay",
          may_be_empty=NONE, at=At(0, 7, 12, 4)),
    count("outbox-held", "Outbox: topics that take nothing",
          "Topics whose rows are left where they are for a while: missing, refused, or without a "
          "leader. Others go on.",
          f"max(jobs_outbox_held_topics{{{APP}}})", "orange", no_value="no relay",
          may_be_empty=NONE, at=At(12, 7, 12, 4)),
)

OUTBOX = Board(
    "jobstream-outbox",
    "Jobs: outbox",
    "Do committed jobs leave the database?",
    (*WRITTEN, *LEFT),
)
