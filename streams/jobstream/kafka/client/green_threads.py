"""Whether gevent or eventlet has put green threads in the place of this process's threads.

Green threads all run on one thread of the system: what waits in C code stops every one of them, the
one that would end the wait included. It imports neither library.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from confluent_kafka import Producer

POLL_S = 0.1
GREEN_POLL_S = 0.005
"""How long green threads leave delivery reports alone; it adds to the time of an enqueue."""


def patched_by() -> str | None:
    """The library that has patched `threading` here, by now; None if it is Python's own."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None


def poll(producer: Producer, wait_s: float = POLL_S) -> int:
    """Serve delivery reports; waits for one a little, and lets green threads run meanwhile."""
    if patched_by() is None:
        return producer.poll(wait_s)
    served = producer.poll(0)
    if not served and wait_s:
        threading.Event().wait(GREEN_POLL_S)
    return served


def refuse_green_threads() -> None:
    """Raise ConfigError if this process can't run a worker for that reason."""
    if (library := patched_by()) is not None:
        message = (
            f"{library} has patched this process, and a worker needs threads of the system: let "
            f"the module that the worker imports not call {library}'s monkey patching (a service "
            "that only enqueues may)"
        )
        raise ConfigError(message)
