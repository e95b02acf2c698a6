"""The role that carries waiting jobs down the delay ladder."""

from __future__ import annotations

from jobstream.observe.observed import DELAYER
from jobstream.roles.ground import Role
from jobstream.topics.names import delay_group
from jobstream_processors.background import aside
from jobstream_processors.delay.delayer import Delayer, DelayerParts


class DelayerRole(Role):
    """A delayer on a thread of its own. It decodes no job, so it serves whatever waits."""

    async def run(self) -> None:
        """Carry jobs until asked to stop."""
        ground = self._ground
        parts = DelayerParts(
            group=delay_group(ground.app.name),
            plans=ground.plans,
            sink=ground.sink,
            reader=ground.reader,
            mirrors=ground.briefing.mirrors,
            clock=ground.clock,
            pulse=ground.membership.pulse,
            catalogue=ground.briefing.catalogue,
            meter=ground.observed.delays,
            ready=ground.ready,
        )
        delayer = ground.observed.delayer = Delayer(parts)
        ground.briefing.control.listen(ground.clock.broker_ms(), delayer.obey)
        await aside("jobstream-delay", self._carry, delayer)

    def _carry(self, delayer: Delayer) -> None:
        ground = self._ground
        topics = [topic for plan in ground.plans.values() for topic, _ in plan.rungs.values()]
        delayer.join(ground.membership.source(DELAYER, delay_group(ground.app.name), topics))
        while not ground.stopping.is_set():
            delayer.cycle()
        delayer.close()


ROLE = DelayerRole
