"""A relay that runs on a thread beside the test, and is waited for at its end."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.sql.relay import Relay


@contextmanager
def running(relay: Relay, limit_s: float) -> Iterator[Relay]:
    """Let it run for the block; within the limit it must have ended after that."""
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join(limit_s)
        assert not thread.is_alive(), "the relay has not ended"
