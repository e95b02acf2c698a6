"""Single statements on PostgreSQL from an event loop, on connections of the loop's own.

Two switches between threads cost more than the statement: on two cores a third of a millisecond of
CPU, and a wait for a core each time.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from jobstream.idempotency.errors import StoreAway
from jobstream.sql.database_url import beside
from jobstream.sql.store_engine import AGAIN, ENDED, POOL, TRIES, WAIT_S, given_to, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from psycopg import AsyncConnection
    from sqlalchemy import Engine

    from jobstream.sql.store_engine import Prepared

    Found = tuple[Sequence[Any], int]


class _LoopPool:
    """The connections of one loop; made as they are needed, and kept."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(POOL)
        self.idle: list[AsyncConnection[Any]] = []

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Room for one connection; raises StoreAway where none gets free in time."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self.room.acquire()
        except TimeoutError as error:
            message = "every connection is in use"
            raise StoreAway(message) from error
        try:
            yield
        finally:
            self.room.release()

    def kept(self, connection: AsyncConnection[Any], error: psycopg.Error) -> bool:
        """Keep a connection on which a statement failed, unless it is lost; whether it was kept."""
        is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if is_idle and error.sqlstate not in ENDED:
            self.idle.append(connection)
            return True
        connection.pgconn.finish()
        return False

    def empty(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self.idle:
            connection.pgconn.finish()
        self.idle.clear()


class LoopSteps:
    """Statements, each committed by itself. Used by any number of loops, each with its own pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pools: dict[asyncio.AbstractEventLoop, _LoopPool] = {}

    def forked(self) -> None:
        """In a forked child: the connections are the parent's, and stay open."""
        self._pools = {}

    async def rows(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Any]:
        """What the statement returns. Raises StoreAway and StoreNotReady."""
        return (await self._done(statement, values))[0]

    async def changed(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """How many rows the statement changed; errors as in `rows`."""
        return (await self._done(statement, values))[1]

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for pool in list(self._pools.values()):
            pool.empty()

    async def _done(self, statement: Prepared, values: Mapping[str, Any]) -> Found:
        pool = self._pool()
        async with pool.taken():
            for left in reversed(range(TRIES)):
                connection = pool.idle.pop() if pool.idle else None
                try:
                    if connection is None:
                        connection = await self._connected()
                    found = await _run(connection, statement, values)
                except psycopg.Error as error:
                    is_dead = connection is not None and not pool.kept(connection, error)
                    if is_dead:
                        pool.empty()  # The others are as old.
                    if not left or not (is_dead or error.sqlstate in AGAIN):
                        raise told(self._engine, error) from error
                except BaseException:
                    if connection is not None:
                        connection.pgconn.finish()  # Its statement may be under way.
                    raise
                else:
                    pool.idle.append(connection)
                    return found
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _pool(self) -> _LoopPool:
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            self._let_go_of_ended()
            self._pools[loop] = _LoopPool()
        return self._pools[loop]

    def _let_go_of_ended(self) -> None:
        """Close what loops have left that ended.

        Connections and locks know their loop, so a weak reference to one would never be cleared.
        """
        # A copy: loops of other threads come meanwhile.
        for loop in list(self._pools):
            if loop.is_closed() and (pool := self._pools.pop(loop, None)) is not None:
                pool.empty()

    async def _connected(self) -> AsyncConnection[Any]:
        url = self._engine.url
        _, given = self._engine.dialect.create_connect_args(url)
        options = {**given, **beside(url, given_to(url))}
        return await psycopg.AsyncConnection.connect(autocommit=True, **options)


async def _run(
    connection: AsyncConnection[Any], statement: Prepared, values: Mapping[str, Any]
) -> Found:
    cursor = await connection.execute(statement.query, statement.given(values))
    rows = () if cursor.description is None else await cursor.fetchall()
    return rows, cursor.rowcount
