"""The tables of the read side. Times are the brokers', in epoch milliseconds, but for `checked_ms`.

Every change of a table needs a step in `migrations/versions`; a test holds the two together.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

REVISION = "0001"
"""The newest step of `migrations/versions`: the form that this code reads and writes."""

metadata = MetaData()
_number = BigInteger().with_variant(Integer, "sqlite")

jobs = Table(
    "jobs",
    metadata,
    Column("n", _number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("job_type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("enqueued_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("took_ms", BigInteger),
    Column("topic", Text),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Column("key", Text),
    Column("tenant", Text),
    Column("unique_key", Text),
    Column("parent_id", Text),
    Column("correlation_id", Text),
    Column("source", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("redrive", Integer, nullable=False),
    Column("rung", Text, nullable=False),
    Column("due_ms", BigInteger),
    Column("waits", Text, nullable=False),
    Column("waits_since_ms", BigInteger),
    Column("awaits_code", Boolean, nullable=False),
    Column("error", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("frame", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("letter_open", Boolean, nullable=False),
    Column("args", Text),
    Column("args_cut", Boolean, nullable=False),
    Column("facts", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("jobs_newest", jobs.c.at_ms, jobs.c.n)
Index("jobs_by_type", jobs.c.job_type, jobs.c.state, jobs.c.at_ms, jobs.c.n)
Index("jobs_by_queue", jobs.c.queue, jobs.c.state, jobs.c.at_ms, jobs.c.n)


def _sparse(name: str, column: str, given: str) -> None:
    """An index of the rows that have the column set: most have not, and cost nothing."""
    where = text(given)
    Index(name, jobs.c[column], jobs.c.at_ms, jobs.c.n, sqlite_where=where, postgresql_where=where)


_sparse("jobs_by_tenant", "tenant", "tenant IS NOT NULL")
_sparse("jobs_by_key", "key", "key IS NOT NULL")
_sparse("jobs_by_parent", "parent_id", "parent_id IS NOT NULL")
_sparse("jobs_by_fingerprint", "fingerprint", "fingerprint <> ''")

attempts = Table(
    "attempts",
    metadata,
    Column("topic_id", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("job_id", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("what", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("traceback", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Every record about a job but a first delivery and a plain end: its attempts, waits and ends."""
Index("attempts_of_job", attempts.c.job_id, attempts.c.at_ms)

tallies = Table(
    "tallies",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("job_type", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
)
"""How many rows of `jobs` there are, by what they are asked for most."""

minutes = Table(
    "minutes",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("job_type", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    Column("slowest_ms", BigInteger, nullable=False),
    Column("slowest_id", Text, nullable=False),
)
"""Ends by minute of broker time: tumbling windows, stored with the offset behind them."""

letters = Table(
    "letters",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("queue", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("redrive", Integer, nullable=False),
    Column("job_type", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("frame", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("died_ms", BigInteger, nullable=False),
    Column("trouble", Text, nullable=False),
)
"""Open dead letters; one that is closed has no row."""
Index("letters_by_cause", letters.c.fingerprint, letters.c.died_ms)

entries = Table(
    "entries",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("value", LargeBinary, nullable=False),
)
"""What stands in the control and schedules topics now; args of schedules are left out."""

audit = Table(
    "audit",
    metadata,
    Column("topic_id", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("topic", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("until_ms", BigInteger),
)
Index("audit_newest", audit.c.at_ms, audit.c.topic_id, audit.c.partition, audit.c.offset)

marks = Table(
    "marks",
    metadata,
    Column("group", Text, primary_key=True),
    Column("topic_id", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("topic", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""How far workers and delayers have finished their partitions, by the mirrors."""

workers = Table(
    "workers",
    metadata,
    Column("member", Text, primary_key=True),
    Column("group", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("partitions", Integer, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)
"""Members of the app's consumer groups, as the brokers list them."""

places = Table(
    "places",
    metadata,
    Column("topic_id", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("topic", Text, nullable=False),
    Column("next", BigInteger, nullable=False),
    Column("record_ms", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("checked_ms", BigInteger, nullable=False),
)
"""The next offset to fold of each partition; written with the rows of what lies before it."""

gaps = Table(
    "gaps",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("topic_id", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""What could not be folded: answers may lack it."""

unread = Table(
    "unread",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("last_offset", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("last_reason", Text, nullable=False),
)
"""Records that could not be read, counted, and the last of each partition."""

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
