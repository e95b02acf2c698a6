"""The role that fires schedules."""

from __future__ import annotations

from jobstream.observe.observed import SCHEDULER
from jobstream.roles.app_ticks import AppTicks, publish_declared
from jobstream.roles.ground import Role
from jobstream.topics.names import schedule_group, schedules_topic
from jobstream_processors.background import aside
from jobstream_processors.schedule.scheduler import ScheduleParts, Scheduler


class SchedulerRole(Role):
    """A scheduler on a thread of its own; nothing where the app has no schedules."""

    async def run(self) -> None:
        """Fire schedules until asked to stop."""
        ground = self._ground
        if not ground.app.has_schedules:
            if ground.ready is not None:
                ground.ready()
            await aside("jobstream-schedule", ground.stopping.wait)
            return
        await aside("jobstream-schedule", self._serve)

    def _serve(self) -> None:
        ground, app = self._ground, self._ground.app
        publish_declared(app, ground.reader, ground.sink)
        group, clock = schedule_group(app.name), ground.clock
        errors: list[BaseException] = []
        scheduler = Scheduler(
            ScheduleParts(
                group=group,
                sink=ground.sink,
                reader=ground.reader,
                mirrors=ground.briefing.mirrors,
                clock=clock,
                pulse=ground.membership.pulse,
                maker=AppTicks(app, ground.briefing.catalogue, clock.broker_ms),
                meter=ground.observed.ticks,
                ready=ground.ready,
                failed=errors.append,
            )
        )
        topics = [schedules_topic(app.name)]
        scheduler.join(ground.membership.source(SCHEDULER, group, topics))
        while not ground.stopping.is_set():
            scheduler.cycle()
            if errors:
                raise errors[0]
        scheduler.close()


ROLE = SchedulerRole
