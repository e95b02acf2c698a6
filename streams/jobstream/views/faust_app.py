"""The Faust app of the read side: one agent for each kind of topic, all into one database.

It has no web server, no producer, no topics of its own and no store. Signals and logs are ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import faust
from faust.app.base import BootStrategy

from jobstream.views.consuming import OPTIONS
from jobstream.views.errors import DatabaseAway, DatabaseRefused
from jobstream.views.faust_seam import RunTransport
from jobstream_processors.background import aside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream.settings import Settings
    from jobstream.views.batch import Run
    from jobstream.views.beginning import Starts
    from jobstream.views.projection import Projection

log = logging.getLogger("jobstream.views")

GROUP = "views"
RUNS_MAX = 200
"""Of one transaction, and that wait for one."""
WAITING_RUNS = 8
"""Of each agent: Faust's stream buffers hold no more, and reading stops."""
AGAIN_S_MIN, AGAIN_S_MAX = 0.2, 5.0
AGENTS: Mapping[str, tuple[str, ...]] = {
    "copies": ("queue", "rung"),
    "rows": ("dedup",),
    "letters": ("dlq",),
    "orders": ("control", "schedules", "offsets"),
}
"""Agent → the kinds of topics that it folds."""


class _Boot(BootStrategy):
    enable_kafka_producer = False
    enable_web = False
    enable_sensors = False


class RunSchema(faust.Schema[None, Any]):
    """Events are runs already: nothing is decoded on the way to an agent."""

    def loads_key(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - Faust's
        """None: a run has no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Run:  # noqa: ANN401, ARG002 - Faust's
        """The run."""
        run: Run = message.value
        return run


class ViewsApp(faust.App):
    """Feeds a projection. Start and stop it as any Faust service."""

    BootStrategy = _Boot

    def __init__(
        self,
        settings: Settings,
        app: str,
        topics: Mapping[str, Sequence[str]],
        into: Projection,
        failed: Callable[[BaseException], object],
    ) -> None:
        """`topics`: kind → the names that are folded. `failed` hears why reading ended."""
        self.failed = failed
        group = f"{app}.{GROUP}"
        self.starts: Starts = into
        self._into = into
        protocol = settings.group_protocol
        classic = {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": settings.heartbeat_ms,
        }
        self.client_options: Mapping[str, Any] = {
            **settings.client_options(),
            **OPTIONS,
            "group.id": group,
            "group.protocol": protocol,
            **(classic if protocol == "classic" else {}),
        }
        super().__init__(
            group,
            broker=f"kafka://{settings.bootstrap_servers.split(',')[0]}",
            store="memory://",
            autodiscover=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_buffer_maxsize=WAITING_RUNS,
            web_enabled=False,
            loghandlers=[],
        )
        self._waiting: asyncio.Queue[Run] = asyncio.Queue(RUNS_MAX)
        self.task(self._store)
        for name, kinds in AGENTS.items():
            names = sorted(name for kind in kinds for name in topics.get(kind, ()))
            if names:
                self._agent(name, names)

    def _create_directories(self) -> None:
        """Make none: Faust would in the working directory, for tables that it has elsewhere."""

    def _new_transport(self) -> RunTransport:
        return RunTransport(self.conf.broker_consumer, self, loop=self.loop)

    def _new_producer_transport(self) -> RunTransport:
        return RunTransport(self.conf.broker_producer, self, loop=self.loop)

    def _agent(self, name: str, topics: list[str]) -> None:
        async def fold(stream: Any) -> None:  # noqa: ANN401 - Faust's
            async for run in stream:
                await self._waiting.put(run)

        self.agent(self.topic(*topics, schema=RunSchema(), internal=True), name=name)(fold)

    async def _store(self) -> None:
        """Store what the agents bring, all that waits in one transaction."""
        while not self.should_stop:
            runs = [await self._waiting.get()]
            while len(runs) < RUNS_MAX and not self._waiting.empty():
                runs.append(self._waiting.get_nowait())
            await self._write(runs)

    async def _write(self, runs: Sequence[Run]) -> None:
        """Store the runs; while the database is away, wait for it, and read no further."""
        pause_s = AGAIN_S_MIN
        while not self.should_stop:
            try:
                written = await aside("jobstream-views-write", self._into.write, runs)
            except (DatabaseAway, DatabaseRefused) as error:
                # Another version of jobstream may have changed the tables under this one.
                self._into.waits_for_database(error)
                await self.sleep(pause_s)
                pause_s = min(2 * pause_s, AGAIN_S_MAX)
                continue
            except Exception:
                # A fault of ours: the offsets in the database have not moved, so that it is read
                # again, and nothing after it is folded before it.
                log.exception("views_batch_failed", extra={"places": _told(runs)})
                await self.sleep(AGAIN_S_MAX)
                continue
            if written.misplaced:
                await self._go_back(written.misplaced, written.nexts)
            return

    async def _go_back(
        self, runs: Sequence[Run], nexts: Mapping[tuple[str, int], int | None]
    ) -> None:
        places = {(run.where.topic, run.where.partition) for run in runs}
        log.info("views_reads_again", extra={"places": _told(runs)})
        consumer: Any = self.consumer
        await consumer.go_back({at: nexts[at] for at in places})


def _told(runs: Sequence[Run]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for run in runs[:10]:
        found[f"{run.where.topic}:{run.where.partition}"] += [run.start, run.stop]
    return dict(found)
