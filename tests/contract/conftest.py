"""The two brokers that every contract is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.testing.bench import MemoryBench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.testing.bench import Bench


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = memory_bench() if request.param == "memory" else kafka_bench(request)
    yield bench
    bench.close()


def memory_bench() -> Bench:
    return MemoryBench()


def kafka_bench(request: pytest.FixtureRequest) -> Bench:
    from jobstream.testing.kafka_bench import KafkaBench  # noqa: PLC0415 - needs the client library

    return KafkaBench(request.getfixturevalue("kafka").bootstrap_servers)
