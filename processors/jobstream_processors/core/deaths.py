"""The flood guard: a run of handler deaths stops a partition before it empties into dead letters.

After `limit` deaths in a row nothing starts for a pause that doubles up to a cap; then one job is
let through as a probe. A job that ends as its handler wanted clears the count. What says nothing
about the handlers' health does neither: garbage (undecodable, unknown type), a failure that will be
retried, the death of a child process that is only counted yet, a job that never ran.
"""

from __future__ import annotations

from jobstream_processors.core.circuit import Circuit, Terms

FLOOD = "flood"
"""Why a partition is held, in one word."""
LIMIT = 100
PAUSE_MS_FIRST = 5_000
PAUSE_MS_MAX = 300_000


class FloodGuard:
    """Consecutive handler deaths of one partition. Times are monotonic milliseconds.

    A circuit that counts deaths until one job lives: all of its runs failed, then, and were in a
    row. Whichever job dies while a probe is on its way, it is taken for the probe, and whichever
    lives opens the guard.
    """

    __slots__ = ("_circuit", "_probing")

    def __init__(self, limit: int = LIMIT) -> None:
        self._circuit = Circuit(Terms(1.0, limit, None, PAUSE_MS_FIRST, PAUSE_MS_MAX))
        self._probing = False

    @property
    def deaths(self) -> int:
        """How many died in a row."""
        return self._circuit.window.failures

    @property
    def until_ms(self) -> int | None:
        """While set, nothing starts before that time."""
        return self._circuit.until_ms

    @property
    def is_open(self) -> bool:
        """Whether jobs may start freely."""
        return self._circuit.is_closed

    def died(self, now_ms: int) -> bool:
        """Count a death; True if the partition is to be held from now on."""
        if not self._probing:
            return self._circuit.failed(now_ms)
        self._probing = False
        self._circuit.probe_failed(now_ms)
        return True

    def unproved(self, now_ms: int, *, failed: bool) -> None:
        """The probe ended and says nothing: another may be made, after the pause if it failed."""
        if self._probing:
            self._probing = False
            self._circuit.probe_unproved(now_ms, wait=failed)

    def lived(self) -> bool:
        """Count an end that the handler wanted; True if that opens a held partition."""
        held = not self.is_open
        self._probing = False
        self._circuit.reset()
        return held

    def may_probe(self, now_ms: int) -> bool:
        """Whether one job may start now as a probe; a True is used up by it."""
        if not self._circuit.take_probe(now_ms):
            return False
        self._probing = True
        return True
