"""The role that carries waiting jobs down the delay ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.observed import DELAYER
from jobstream.topics.names import delay_group
from jobstream_processors.background import aside
from jobstream_processors.delay.delayer import Delayer, DelayerParts

if TYPE_CHECKING:
    from jobstream.roles.ground import Ground


class DelayerRole:
    """A delayer on a thread of its own."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def check(self) -> None:
        """It decodes no job, so it serves whatever waits."""

    def stop(self) -> None:
        """Its thread sees by itself that it is to stop."""

    async def run(self) -> None:
        """Carry jobs until told to stop."""
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
