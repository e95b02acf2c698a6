"""How a job crosses to a child process: as the bytes of its event, which the child decodes.

So no code of the args' class runs in the worker for it. In the child such code is under the job's
time limit, as the handler is, and nothing of the args is ever pickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.context import RunFacts


class HandedJob(NamedTuple):
    """A job for a child."""

    value: bytes
    args_at: int
    """Where its args begin."""
    fingerprint: bytes
    schema: dict[str, Any] | None
    """Its writer's; None where the child was handed it before."""
    facts: RunFacts
    enter: Callable[[RunFacts], object] | None
    """Called in the child, in the context of the run."""
