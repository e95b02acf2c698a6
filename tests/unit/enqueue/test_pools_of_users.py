"""An enqueue from a coroutine needs none of the threads that user code may fill."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jobstream import App, QueueFull
from jobstream.testing import memory
from jobstream.testing.memory_transport import MemoryTransport

LIMIT_S = 120.0


@dataclass(frozen=True)
class Mail:
    to: str


class FullAtFirst(MemoryTransport):
    """The way to a broker that has no room for a moment."""

    refused = 0

    def submit(self, record, done) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - the transport's
        if record.topic.endswith(".default") and self.refused < 3:
            self.refused += 1
            message = "full"
            raise QueueFull(message)
        super().submit(record, done)


def test_enqueues_get_on_while_the_pool_of_the_loop_is_full() -> None:
    app = App("shop")
    mail = app.declare("mail", Mail)
    release = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        stuck = loop.run_in_executor(None, release.wait, LIMIT_S)
        try:
            # First uses of the topic and the schema, at once, and one of many.
            sent = await asyncio.gather(*(mail.aenqueue(Mail(f"{n}")) for n in range(20)))
            assert len({one.job_id for one in sent}) == 20
            assert len(await mail.aenqueue_many([Mail("ann"), Mail("bob")])) == 2
        finally:
            release.set()
            await stuck

    with memory(app) as jobs:
        app.bind(transport := FullAtFirst(jobs.broker))
        asyncio.run(main())
        assert transport.refused == 3
        assert not any(t.name == "jobstream-prepare" for t in threading.enumerate())
