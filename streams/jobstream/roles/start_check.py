"""What a worker says before it serves: that it refuses to, or which job types it cannot run.

It refuses where jobs wait that its code cannot read. The look is bounded in time, and never keeps a
worker down: brokers that are slow, or that let this client see too little, cost a warning.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from jobstream.operate.positions import standings
from jobstream.operate.undecodable import judges_of, look, refusal
from jobstream.operate.view import AppView
from jobstream_processors.background import aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream.app import App
    from jobstream.operate.undecodable import Undecodable
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_schemas import Catalogue

log = logging.getLogger("jobstream.roles")

LOOK_S = 5.0
"""How long a start may take to look at what waits."""
ISOLATION_FIX = "define the class of its args at the top of a module"
HANDLER_FIX = (
    "import the module with its handler from the one that the command names; until then its jobs "
    "wait here, for at most an hour each"
)


async def refuse_undecodable(
    app: App,
    plans: Iterable[QueuePlan],
    specs: Mapping[str, JobSpec],
    catalogue: Catalogue,
    *,
    limit_s: float = LOOK_S,
) -> None:
    """Raise JobsUndecodable if jobs wait that this code cannot read, unless settings allow it.

    Asks no broker where every registered schema fits; else it takes at most `limit_s`.
    """
    see = partial(_look, app, list(plans), specs, catalogue)
    try:
        looked = await asyncio.wait_for(aside("jobstream-start", see), limit_s)
    except TimeoutError:
        log.warning("waiting_jobs_not_looked_at", extra={"reason": f"no answer in {limit_s:g} s"})
        return
    except Exception as error:  # noqa: BLE001 - a look keeps no worker down
        log.warning("waiting_jobs_not_looked_at", extra={"reason": str(error)})
        return
    if looked is None:
        return
    if looked.misfits and not app.settings.allow_undecodable:
        raise refusal(looked)
    counts = {"looked_at": looked.looked, "waiting": looked.waiting}
    if looked.misfits:
        log.warning("jobs_undecodable", extra={"why": [*looked.misfits], **counts})
    elif looked.looked < looked.waiting:
        log.warning("waiting_jobs_sampled", extra=counts)


def warn_of_handlers(app: App, specs: Iterable[JobSpec], queues: Iterable[str]) -> None:
    """One line for each job type that this worker cannot run, or not in a child process."""
    for job in sorted({spec.name for spec in specs if not spec.importable}):
        log.warning("handler_not_isolated", extra={"job": job, "fix": ISOLATION_FIX})
    for job in app.without_handler(queues):
        log.warning("handler_missing", extra={"job": job, "fix": HANDLER_FIX})


def _look(
    app: App, plans: list[QueuePlan], specs: Mapping[str, JobSpec], catalogue: Catalogue
) -> Undecodable | None:
    """What waits, and does not fit; None where all that is registered fits."""
    judges = judges_of(catalogue, specs)
    if not judges:
        return None
    view = AppView(app.name, app.settings)
    topics = {plan.topic for plan in plans}
    queues = [queue for queue in view.queues() if queue.topic in topics]
    mains = [place for queue in queues for place in queue.places(queue.topic)]
    rungs = [place for queue in queues for place in queue.places(*queue.rungs.values())]
    at = [*standings(view, "workers", mains).values(), *standings(view, "delay", rungs).values()]
    return look(judges, catalogue, at, view.records)
