"""The role that runs jobs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.slots import claim_slot
from jobstream.dedup.table import Table
from jobstream.kafka.consume.member_options import rebalance_ms
from jobstream.observe.observed import WORKER, worker_name
from jobstream.observe.spans.of_workers import tracing_of
from jobstream.roles.breaker_news import BreakerNews
from jobstream.roles.ground import Role
from jobstream.roles.open_files import raised_for
from jobstream.roles.shared import Shared
from jobstream.roles.start_check import refuse_undecodable, warn_of_handlers
from jobstream.roles.usable_cores import default_children
from jobstream.topics.names import worker_group
from jobstream_processors.assembly import Parts
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.background import aside
from jobstream_processors.core.orders import is_meant
from jobstream_processors.job_types import with_resources
from jobstream_processors.watch.on_failure import Failures
from jobstream_processors.worker import Worker

if TYPE_CHECKING:
    from jobstream_processors.core.orders import Order
    from jobstream_processors.resources import Resources

log = logging.getLogger("jobstream.roles")


class WorkerRole(Role):
    """A worker, with the tables of the slot that it claims on this machine."""

    _worker: Worker | None = None
    _leaves = False
    """Whether it was to leave, be there a worker yet or not."""

    async def check(self) -> None:
        """Refuse to start where jobs wait that this code can't read. Raises JobsUndecodable."""
        ground = self._ground
        catalogue = ground.briefing.catalogue
        await refuse_undecodable(ground.app, ground.plans.values(), ground.specs, catalogue)

    def stop(self) -> None:
        """Let the worker drain and leave."""
        self._stop_worker()

    def _stop_worker(self) -> None:
        self._leaves = True
        if self._worker is not None:
            self._worker.stop()

    async def run(self) -> None:
        """Run jobs until asked to stop. Raises LifespanFailed if what they share does not start."""
        shared = Shared(self._ground, self._stop_worker)
        async with shared:
            if shared.resources is not None:
                await self._serve(shared.resources)
        shared.check()

    async def _serve(self, resources: Resources) -> None:
        ground, app, plans = self._ground, self._ground.app, self._ground.plans
        warn_of_handlers(app, ground.specs.values(), plans)
        shards = sum(app.queues[name].partitions for name in plans)
        memory = ShardMemory(row_files=raised_for(shards))
        ground.observed.tables_use = memory.used
        with claim_slot(app.settings.state_dir, app.name, ground.briefing.cluster_id) as slot:
            seen, now_ms = ground.observed.progress, ground.clock.broker_ms
            tables = Table(slot, ground.reader, seen, memory=memory, now_ms=now_ms)
            failures, deaths = Failures(app.failure_callbacks), Failures(app.death_callbacks)
            worker = Worker(self._parts(tables, failures, deaths, resources))
            ground.briefing.control.listen(ground.clock.broker_ms(), worker.obey)
            ground.briefing.control.listen_for_drains(self._drain)
            self._worker = ground.observed.worker = worker
            if self._leaves or ground.stopping.is_set():
                worker.stop()
            try:
                # The name is what `control quiet` asks for; it is nowhere else in the log.
                log.info("worker_started", extra=self._who())
                await worker.run()
            finally:
                await aside("jobstream-told", failures.close)
                await aside("jobstream-told", deaths.close)

    def _drain(self, entry: Order) -> None:
        """Leave for good if this worker is meant; called on the thread that follows orders."""
        if is_meant(entry.subject, worker_name()):
            self._ground.leave(entry)

    def _who(self) -> dict[str, object]:
        """Who this is, and how it shares its slots among the queues, for the log."""
        plans = self._ground.plans
        shares = (
            "strict" if self._ground.wishes.strict else {p.name: p.weight for p in plans.values()}
        )
        shared = {"shares": shares} if len(plans) > 1 else {}
        return {"worker": worker_name(), "queues": [*plans], **shared}

    def _parts(
        self, tables: Table, failures: Failures, deaths: Failures, resources: Resources
    ) -> Parts:
        ground, app, plans = self._ground, self._ground.app, self._ground.plans
        settings, wishes, group = app.settings, ground.wishes, worker_group(app.name)
        sink, reader, clock = ground.sink, ground.reader, ground.clock
        mirrors = ground.briefing.mirrors
        topics = [plan.topic for plan in plans.values()]
        return Parts(
            specs=with_resources(ground.specs, resources),
            plans=plans,
            catalogue=ground.briefing.catalogue,
            source=ground.membership.source(WORKER, group, topics),
            sink=sink,
            takeover=Takeover(group, plans, sink, reader, tables, mirrors, clock),
            reader=reader,
            clock=clock,
            pulse=ground.membership.pulse,
            limits=Limits(
                window=settings.window,
                commit_ms=settings.commit_interval_ms,
                drain_ms=settings.drain_ms,
                rebalance_drain_ms=settings.rebalance_drain_ms,
                rebalance_ms=rebalance_ms(settings.rebalance_drain_ms),
            ),
            concurrency=settings.concurrency,
            children=settings.children or default_children(),
            child_begins=wishes.child_begins,
            children_leave_s=ground.left_s if app.lifespans or settings.tracing else None,
            tracing=tracing_of(app.name, settings),
            failed=failures.tell if app.failure_callbacks else None,
            died=deaths.died if app.death_callbacks else None,
            tracebacks=wishes.tracebacks,
            meter=ground.observed.meter,
            ready=ground.ready,
            name=worker_name(),
            give_up=wishes.give_up,
            tell_opening=BreakerNews(sink, app.name, worker_name()).tell,
            stuck_max=max(1, settings.concurrency // 2),
            strict=wishes.strict,
        )


ROLE = WorkerRole
