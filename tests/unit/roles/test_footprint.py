"""What a process that has freed memory gives back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import weakref
from functools import partial
from pathlib import Path

import pytest
from tests.harness.waiting import wait_until

from jobstream.roles.footprint import memory_given_back
from jobstream_processors.background import aside

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="this C library has no malloc_trim",
)
LIMIT_S = 120.0
PIECE = 64 * 1024
PIECES = 1_000


def resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_freed_memory_is_given_back_while_little_is_done() -> None:
    # Of all that, the last piece is still in use: the C library keeps what lies below it.
    pieces = [b"x" * PIECE for _ in range(PIECES)]
    full = resident_mib()
    del pieces[:-1]

    def given_back() -> bool:
        return resident_mib() < full - PIECES * PIECE / 2**20 / 2

    async def main() -> None:
        assert not given_back()
        looking = asyncio.create_task(memory_given_back(0.2))
        await aside("waits", partial(wait_until, given_back, "it is back", limit_s=LIMIT_S))
        looking.cancel()

    asyncio.run(main())
    assert len(pieces) == 1


def test_what_refers_to_itself_goes_while_little_is_done() -> None:
    # An error that is raised anew keeps its own frame, and whatever that holds: a client, say.
    client = Client()
    client.again = client
    gone = weakref.ref(client)
    gc.disable()  # as good as a collector that rests

    async def main() -> None:
        looking = asyncio.create_task(memory_given_back(0.2))
        await aside("waits", partial(wait_until, lambda: gone() is None, "gone", limit_s=LIMIT_S))
        looking.cancel()

    try:
        del client
        assert gone() is not None
        asyncio.run(main())
    finally:
        gc.enable()
    assert gone() is None


class Client:
    again: Client
