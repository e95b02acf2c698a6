"""Where tracing hooks into a worker: the moments of a delivery that a trace shows.

The edge implements it with a library of its choice; `UNTRACED` stands where nobody traces and hands
every part back as it is, so that nothing on the way of a job asks whether somebody does. A trace
changes what copies carry in foreign headers and in `js-trace`, never what is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jobstream_processors.current import name_job
from jobstream_processors.execute.running import no_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.delivery import Decided
    from jobstream_processors.execute.running import Ended, Enter, EnterChild
    from jobstream_processors.ports import Record, Trace
    from jobstream_processors.settle.thread import Settles


class Tracing(Protocol):
    """The hooks of one worker. None of them may raise, block, or change an outcome."""

    @property
    def received(self) -> Callable[[Record], Trace] | None:
        """Makes the trace of a record that begins here; None: records have none."""

    @property
    def enter(self) -> Enter:
        """Called in the context of each run, just before its handler."""

    @property
    def enter_child(self) -> EnterChild:
        """Called before a run is handed to a child process."""

    def ended(self, ended: Ended) -> Ended:
        """`ended`, watched: a run is over."""

    def put(self, put: Callable[[list[Decided]], None]) -> Callable[[list[Decided]], None]:
        """`put`, watched: deliveries are decided."""

    def settler(self, settler: Settles) -> Settles:
        """`settler`, watched: deliveries are settled."""


class Untraced:
    """Watches nothing."""

    received = None
    enter: Enter = staticmethod(name_job)
    enter_child: EnterChild = staticmethod(no_entry)

    def ended(self, ended: Ended) -> Ended:
        """`ended` itself."""
        return ended

    def put(self, put: Callable[[list[Decided]], None]) -> Callable[[list[Decided]], None]:
        """`put` itself."""
        return put

    def settler(self, settler: Settles) -> Settles:
        """`settler` itself."""
        return settler


UNTRACED = Untraced()
