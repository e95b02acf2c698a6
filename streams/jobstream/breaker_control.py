"""A circuit breaker in the hands of an operator: held open, held closed, or left to the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jobstream_processors.core.orders import HOLD_BREAKER, OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.control_listing import ControlEntry
    from jobstream_processors.core.duration import Duration


class WritesEntries(Protocol):
    """Writes control entries and ends them, as `Control` does."""

    def tell(
        self,
        kind: str,
        subject: str,
        *,
        why: str,
        for_: Duration | None,
        who: str | None,
        limits: Mapping[str, int],
    ) -> ControlEntry:
        """Write an entry, acknowledged."""

    def lift(self, kind: str, subject: str) -> None:
        """End an entry, if there is one."""


class BreakerControl:
    """Holds one breaker of one app; `Control.breaker` makes it.

    Each call writes to the broker, blocks and raises as those of `Control`. Workers act on it
    within two seconds. While it is held, no worker opens or closes it by itself; a deploy changes
    nothing of that.
    """

    def __init__(self, control: WritesEntries, name: str) -> None:
        self._control = control
        self.name = name

    def open(
        self, *, why: str = "", for_: Duration | None = None, who: str | None = None
    ) -> ControlEntry:
        """Start no job of its types; jobs wait and lose no attempt, what runs goes on.

        It ends after an hour, or `for_` (1 second to 366 days): then probes are let through.
        """
        return self._hold(1, why, for_, who)

    def close(
        self, *, why: str = "", for_: Duration | None = None, who: str | None = None
    ) -> ControlEntry:
        """Start its jobs whatever fails. Ends after an hour, or `for_`: then it counts anew.

        Jobs that wait on the delay ladder come back at their time, not sooner.
        """
        return self._hold(0, why, for_, who)

    def release(self) -> None:
        """Hold it no more: it is closed, and opens when runs fail. Harmless if it is not held."""
        self._control.lift(HOLD_BREAKER, self.name)

    def _hold(self, is_open: int, why: str, for_: Duration | None, who: str | None) -> ControlEntry:
        limits = {OPEN: is_open}
        return self._control.tell(
            HOLD_BREAKER, self.name, why=why, for_=for_, who=who, limits=limits
        )
