"""Nothing begins while the group may have given this process up, and it cannot tell."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from jobstream_processors.engine.waiting import Reason, WaitingRoom

log = logging.getLogger("jobstream.worker")

SILENT = "silent"
"""The group's coordinator does not answer."""
SILENT_NEXT = (
    "no job begins until the group's coordinator answers; what runs goes on. See whether the "
    "brokers answer, and what jobstream.client says of them"
)


class Silence(Gate):
    """Shuts every lane while it is silent around this process."""

    def __init__(self) -> None:
        self._silent = False

    def hush(self, *, silent: bool) -> None:
        """Say in the log that nothing begins, or that jobs begin again."""
        self._silent = silent
        if silent:
            log.warning("group_silent", extra={"next": SILENT_NEXT})
        else:
            log.warning("group_heard")

    def shuts(self, room: WaitingRoom) -> Reason | None:  # noqa: ARG002 - it is silent around all
        """Silent, while no coordinator answers."""
        return SILENT if self._silent else None
