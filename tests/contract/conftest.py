"""The brokers that every contract is held against.

A module that asks for `bench` runs on the broker in memory and on Kafka; its `BENCHES` may add the
classic group protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from tests.harness.bench import MemoryBench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.bench import Bench

PROTOCOLS = {"kafka": "consumer", "kafka-classic": "classic"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "bench" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "BENCHES", ("memory", "kafka"))
        params = [
            pytest.param(kind, marks=pytest.mark.kafka if kind in PROTOCOLS else ())
            for kind in kinds
        ]
        metafunc.parametrize("bench", params, ids=kinds, indirect=True)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    # Casts: a protocol's attributes are invariant, as if a test might put another sink there.
    made = cast("Bench", MemoryBench()) if request.param == "memory" else kafka_bench(request)
    yield made
    made.close()


def kafka_bench(request: pytest.FixtureRequest) -> Bench:
    from tests.harness.kafka_bench import KafkaBench  # noqa: PLC0415 - needs the client library

    servers = request.getfixturevalue("kafka").bootstrap_servers
    return cast("Bench", KafkaBench(servers, protocol=PROTOCOLS[request.param]))
