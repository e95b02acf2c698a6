"""A store in memory whose clock stands still; coroutines of tests run on asyncio."""

from __future__ import annotations

import pytest
from tests.harness.keyed_handler import Clock

from jobstream.idempotency import MemoryKeyStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryKeyStore:
    return MemoryKeyStore(now_ms=clock)
