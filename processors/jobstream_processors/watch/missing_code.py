"""Warns that jobs are waiting for code which this worker does not have.

The usual causes: the module with the handlers is not imported, or a deploy is under way. Once per
type, schema and kind of lack: a queue full of such jobs is one cause.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream_processors.delivery import Delivery

log = logging.getLogger("jobstream.worker")

WARNED_MAX = 1_000
"""So many different ones are told: what a record names may be anything."""
WAITS = "up to an hour from its first try, for a worker that has the code; then it is a dead letter"


class MissingCode:
    """What was told already. Used on the event loop's thread."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: set[tuple[str, str | None, str]] = set()

    def tell(self, delivery: Delivery, error: str, message: str) -> None:
        """Warn that a delivery waits because of `error`; `message` says what is missing."""
        fields, meta = delivery.fields(), delivery.meta
        lack = error, fields.get("job"), meta.fingerprint.hex() if meta is not None else message
        if lack in self._told or len(self._told) >= WARNED_MAX:
            return
        self._told.add(lack)
        told = {"error": error, "reason": message, "waits": WAITS}
        log.warning("job_waits_for_code", extra={**fields, **told})
