"""Single statements on PostgreSQL from an event loop, on connections of the loop's own.

Two switches between threads cost more than the statement: on two cores a third of a millisecond of
CPU, and a wait for a core each time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psycopg

from jobstream.sql.store_engine import AGAIN, POOL, TRIES, options_of, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import AsyncConnection
    from sqlalchemy import Engine

    from jobstream.sql.store_engine import Prepared

    Found = tuple[Sequence[Any], int]


class _LoopPool:
    """The connections of one loop; made as they are needed, and kept."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(POOL)
        self.idle: list[AsyncConnection[Any]] = []

    def empty(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self.idle:
            connection.pgconn.finish()
        self.idle.clear()


class LoopSteps:
    """Statements, each committed by itself. Used by any number of loops, each with its own pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool] = WeakKeyDictionary()

    def forked(self) -> None:
        """In a forked child: the connections are the parent's, and stay open."""
        self._pools = WeakKeyDictionary()

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
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = _LoopPool()
        async with pool.room:
            for left in reversed(range(TRIES)):
                connection = pool.idle.pop() if pool.idle else None
                try:
                    if connection is None:
                        connection = await self._connected()
                    found = await _run(connection, statement, values)
                except psycopg.Error as error:
                    is_dead = connection is not None and connection.closed
                    if is_dead:
                        pool.empty()  # The others are as old.
                    if not left or not (is_dead or error.sqlstate in AGAIN):
                        raise told(self._engine, error) from error
                else:
                    pool.idle.append(connection)
                    return found
        raise AssertionError  # pragma: no cover - the last try returns or raises

    async def _connected(self) -> AsyncConnection[Any]:
        _, given = self._engine.dialect.create_connect_args(self._engine.url)
        options = {**given, **options_of("postgresql")}
        return await psycopg.AsyncConnection.connect(autocommit=True, **options)


async def _run(
    connection: AsyncConnection[Any], statement: Prepared, values: Mapping[str, Any]
) -> Found:
    try:
        cursor = await connection.execute(statement.query, statement.given(values))
        rows = () if cursor.description is None else await cursor.fetchall()
    except BaseException:
        connection.pgconn.finish()
        raise
    return rows, cursor.rowcount
