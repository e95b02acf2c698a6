"""The statements of the store of keys, each one atomic step, for PostgreSQL and SQLite.

Every time in them is the database's own, so clocks of the processes that ask do not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, and_, bindparam, case, delete, null, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from jobstream.sql.database_clock import now_ms, now_ms_once
from jobstream.sql.schema import idempotency_keys as keys

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, Delete, Select, Update

FORMAT = 1
"""Of the rows that this version writes, and the newest that it reads."""
RUNNING, ANSWERED, UNKEPT = 0, 1, 2
RELEASED_MS = 0
"""The lease of a run that gave up: over for all time, since no renewal changes it."""
_LEASE: BindParameter[int] = bindparam("lease", type_=BigInteger)
_KEEP: BindParameter[int] = bindparam("keep", type_=BigInteger)


def _is_own() -> Any:  # noqa: ANN401 - a condition
    return and_(
        keys.c.caller == bindparam("of_caller"),
        keys.c["key"] == bindparam("of_key"),
        keys.c.token == bindparam("of_token"),
    )


def begin(dialect: str) -> Any:  # noqa: ANN401 - of either dialect
    """Takes the key, and returns the number of its run; no row where something stands in the way.

    A repeat with the token of the row is the same run: its first answer got lost.
    """
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = make(keys).values(
        caller=bindparam("of_caller"),
        key=bindparam("of_key"),
        format=FORMAT,
        expires_ms=now_ms() + _KEEP,
        digest=bindparam("of_digest"),
        token=bindparam("of_token"),
        attempt=1,
        state=RUNNING,
        lease_ms=now_ms() + _LEASE,
    )
    new, is_over = insert.excluded, keys.c.expires_ms <= now_ms()
    is_same = keys.c.token == new.token
    may_run_again = and_(
        keys.c.format <= FORMAT,
        keys.c.state == RUNNING,
        keys.c.digest == new.digest,
        or_(keys.c.lease_ms <= now_ms(), is_same),
    )
    number = case((is_over, 1), (is_same, keys.c.attempt), else_=keys.c.attempt + 1)
    return insert.on_conflict_do_update(
        index_elements=[keys.c.caller, keys.c["key"]],
        set_={
            "format": new.format,
            "expires_ms": new.expires_ms,
            "digest": new.digest,
            "token": new.token,
            "attempt": number,
            "state": new.state,
            "lease_ms": new.lease_ms,
            "status": null(),
            "headers": null(),
            "body": null(),
        },
        where=or_(is_over, may_run_again),
    ).returning(keys.c.attempt)


def look() -> Select[Any]:
    """What stands in the way of a key."""
    return select(
        *(keys.c.format, keys.c.digest, keys.c.state, keys.c.status, keys.c.headers, keys.c.body)
    ).where(keys.c.caller == bindparam("of_caller"), keys.c["key"] == bindparam("of_key"))


def renew() -> Update:
    """Lets the lease of a run begin anew, unless the run gave up."""
    later = {"lease_ms": now_ms() + _LEASE, "expires_ms": now_ms() + _KEEP}
    goes_on = and_(keys.c.state == RUNNING, keys.c.lease_ms != RELEASED_MS)
    return update(keys).where(_is_own(), goes_on).values(**later)


def keep() -> Update:
    """Ends a run with its answer; once more does no harm, where the first reply got lost."""
    return (
        update(keys)
        .where(_is_own())
        .values(
            state=bindparam("to_state"),
            status=bindparam("to_status"),
            headers=bindparam("to_headers"),
            body=bindparam("to_body"),
            expires_ms=now_ms() + _KEEP,
        )
    )


def release() -> Update:
    """Ends a run without one: the same request may run at once."""
    return update(keys).where(_is_own(), keys.c.state == RUNNING).values(lease_ms=RELEASED_MS)


def sweep(dialect: str) -> Delete:
    """Deletes some of what has expired, the oldest first, and waits for no other sweep."""
    over = (
        select(keys.c.caller, keys.c["key"])
        .where(keys.c.expires_ms <= now_ms_once())
        .order_by(keys.c.expires_ms)
        .limit(bindparam("limit"))
    )
    if dialect == "postgresql":
        over = over.with_for_update(skip_locked=True)
    return delete(keys).where(tuple_(keys.c.caller, keys.c["key"]).in_(over))
