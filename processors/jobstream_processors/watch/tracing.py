"""Where tracing hooks into a worker: the moments of a delivery that a trace shows.

The edge overrides the hooks with a library of its choice. `UNTRACED` hands every part back, so that
nothing on the way of a job asks whether it is traced. A trace changes what copies carry in foreign
headers and in `js-trace`, never what is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.current import name_job
from jobstream_processors.execute.running import no_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.delivery import Decided
    from jobstream_processors.execute.running import Ended, Enter, EnterChild
    from jobstream_processors.ports import Record, Trace
    from jobstream_processors.settle.thread import Settles


class Tracing:
    """The hooks of one worker, for one that is not traced. None may raise, block, or decide."""

    received: Callable[[Record], Trace] | None = None
    """Makes the trace of a record that begins here; None: records have none."""
    enter: Enter = staticmethod(name_job)
    """Called in the context of each run, just before its handler."""
    enter_child: EnterChild = staticmethod(no_entry)
    """Called before a run is handed to a child process."""

    def ended(self, ended: Ended) -> Ended:
        """`ended`, watched: a run is over."""
        return ended

    def put(self, put: Callable[[list[Decided]], None]) -> Callable[[list[Decided]], None]:
        """`put`, watched: deliveries are decided."""
        return put

    def settler(self, settler: Settles) -> Settles:
        """`settler`, watched: deliveries are settled."""
        return settler


UNTRACED = Tracing()
