"""Puts the spans of a handler in a child process into the worker's trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.context import attach

from jobstream.observe.spans import otlp as export
from jobstream.observe.spans.carrying import read, within
from jobstream_processors.core.headers import Headers
from jobstream_processors.execute.child_end import at_end

if TYPE_CHECKING:
    from jobstream_processors.context import RunFacts


@dataclass(frozen=True, slots=True)
class ChildEntry:
    """Crosses to the child with a job, and is called there in the context of the run."""

    headers: Headers
    service: str

    def __call__(self, facts: RunFacts) -> None:  # noqa: ARG002 - the worker has set all of it
        """Make the worker's span the current one; the first time, begin to send spans."""
        leave = export.start(self.service, export.CHILD_EVERY_MS)
        if leave is not None:
            at_end(leave)
        attach(within(read(self.headers)))
