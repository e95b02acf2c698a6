"""What a worker warns of at its start: handlers that are missing, or cannot be isolated."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.app import App
    from jobstream_processors.job_types import JobSpec

log = logging.getLogger("jobstream.roles")

ISOLATION_FIX = "define the class of its args at the top of a module"
HANDLER_FIX = (
    "import the module with its handler from the one that the command names; until then its jobs "
    "wait here, for at most an hour each"
)


def warn_of_handlers(app: App, specs: Iterable[JobSpec], queues: Iterable[str]) -> None:
    """One line for each job type that this worker cannot run, or not in a child process."""
    for job in sorted({spec.name for spec in specs if not spec.importable}):
        log.warning("handler_not_isolated", extra={"job": job, "fix": ISOLATION_FIX})
    for job in app.without_handler(queues):
        log.warning("handler_missing", extra={"job": job, "fix": HANDLER_FIX})
