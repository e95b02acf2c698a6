"""Pools of event loops that come and go on several threads."""

from __future__ import annotations

import asyncio

from jobstream.sql.loop_steps import LoopSteps, _LoopPool
from jobstream.sql.store_engine import engine_for


def test_a_loop_may_begin_while_ended_ones_are_let_go() -> None:
    engine = engine_for("postgresql://nobody@127.0.0.1:9/none")
    steps = LoopSteps(engine)
    pools = steps._pools  # noqa: SLF001 - between two looks at it another thread may come
    others: list[asyncio.AbstractEventLoop] = []

    class Busy(asyncio.SelectorEventLoop):
        """Another thread's loop begins when this one is first looked at."""

        def is_closed(self) -> bool:
            if not others:
                others.append(asyncio.new_event_loop())
                pools[others[-1]] = _LoopPool()
            return super().is_closed()

    busy = Busy()
    pools[busy] = _LoopPool()

    async def begin() -> None:
        steps._pool()  # noqa: SLF001 - without a database it gets no further

    asyncio.run(begin())

    assert others
    assert busy in pools
    for loop in (busy, *others):
        loop.close()
    engine.dispose()
