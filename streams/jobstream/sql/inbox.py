"""Marks what a job did, in the very transaction that did it: so that is committed once.

The mark is written as the block begins, in the user's transaction: it is there after the commit of
the effect, and only then. A second run of the job finds it. A run that another worker's has
overtaken is refused by the fencing token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError
from jobstream.sql.errors import OnceUnasked, Superseded
from jobstream.sql.handles import async_handle_of, handle_of
from jobstream.sql.inbox_statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from jobstream.sql.handles import AsyncHandle, Handle
    from jobstream.sql.job_rows import AsyncHeld, Held
    from jobstream_processors.context import Context

STEP_CHARS_MAX = 100


class First:
    """Whether this run is the first to come here: true, or false. It must be asked."""

    def __init__(self, *, is_first: bool) -> None:
        self._is_first = is_first
        self.asked = False
        """Whether the block has looked."""

    def __bool__(self) -> bool:
        self.asked = True
        return self._is_first

    def __repr__(self) -> str:
        return f"<First: {'yes' if self._is_first else 'no, it is done already'}>"


class Once:
    """What `once` returns: enter it with `with`, or with `async with` where the session is async.

    Made for one block.
    """

    def __init__(self, held: Held | AsyncHeld, ctx: Context, step: str) -> None:
        if not isinstance(step, str) or len(step) > STEP_CHARS_MAX:
            message = f"step={step!r:.120}: give a name of at most {STEP_CHARS_MAX} characters"
            raise ConfigError(message)
        self._held, self._ctx, self._step = held, ctx, step
        self._handle: Handle | None = None
        self._async_handle: AsyncHandle | None = None
        self._first = First(is_first=False)

    def __enter__(self) -> First:
        """Write the mark: one round trip. Blocks while another run of the job is in its block."""
        self._handle = handle = handle_of(self._held, "async with once(...)")
        try:
            given = self._given()
            rows = [handle.run(sql, given) for sql in statements(handle.dialect)]
            self._first = self._judged(rows)
        except Superseded:
            handle.roll_back()
            raise
        return self._first

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Roll back the whole transaction if the block raised, or did not ask. Commits nothing."""
        if self._handle is None or (error is None and self._first.asked):
            return
        self._handle.roll_back()
        if error is None:
            raise self._unasked()

    async def __aenter__(self) -> First:
        """As `__enter__`, without blocking the running loop."""
        self._async_handle = handle = async_handle_of(self._held, "with once(...)")
        try:
            given, dialect = self._given(), await handle.dialect()
            rows = [await handle.run(sql, given) for sql in statements(dialect)]
            self._first = self._judged(rows)
        except Superseded:
            await handle.roll_back()
            raise
        return self._first

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As `__exit__`."""
        if self._async_handle is None or (error is None and self._first.asked):
            return
        await self._async_handle.roll_back()
        if error is None:
            raise self._unasked()

    def _given(self) -> dict[str, object]:
        ctx = self._ctx
        topic, partition, _ = ctx.source
        return {
            "job_id": ctx.job_id,
            "step": self._step,
            "type": ctx.name,
            "topic": topic,
            "partition": partition,
            "token": ctx.fencing_token,
        }

    def _judged(self, rows: Sequence[Sequence[Sequence[Any]]]) -> First:
        if len(rows) == 1:
            ((marked, highest),) = rows[0]
        else:
            _, found, marks, _ = rows
            marked, highest = len(marks), found[0][0] if found else None
        ctx = self._ctx
        if highest is None or highest <= ctx.fencing_token:
            return First(is_first=bool(marked))
        topic, partition, _ = ctx.source
        message = (
            f"job {ctx.job_id}: fencing token {ctx.fencing_token} is older than {highest}, which "
            f"was seen here of {topic}, partition {partition}: another worker owns it by now. The "
            "transaction is rolled back. Where the dedup topic was deleted, tokens begin anew: "
            f"delete those of topic {topic!r} from jobstream_inbox_owners"
        )
        raise Superseded(message)

    def _unasked(self) -> OnceUnasked:
        return OnceUnasked(
            f"job {self._ctx.job_id}: the block of once() never asked whether it is the first run, "
            "so a second one would repeat its effect, and the transaction is rolled back. Write "
            "`with once(session, ctx) as first:` and inside of it `if first:`"
        )


def once(held: Held | AsyncHeld, ctx: Context, *, step: str = "") -> Once:
    """Let a job change the user's database once, however often its handler runs.

    ::

        async with session.begin():
            async with once(session, ctx) as first:
                if first:
                    session.add(Payment(order=args.order_id))

    The mark belongs to the open transaction of `held` (as for `enqueue_in` and `aenqueue_in`), and
    is committed by the caller, with the effect: a run that dies before, or never commits, leaves
    neither. `first` is false where a run of this job has committed already. It must be asked, or
    the block ends in OnceUnasked. A block that raises rolls the whole transaction back. `step`
    names one of several blocks of a handler, each with its own mark. A run that finds its mark
    renews it, and marks outlive the longest wait from one run to the next: `sweep_inbox` tells.

    Raises Superseded where a newer owner of the partition has written here, NotInTransaction and
    TablesMissing. One statement in PostgreSQL.
    """
    return Once(held, ctx, step)
