"""A request with a key on a real Kafka: killed after its enqueues, its repeat is the same jobs."""

from __future__ import annotations

import signal
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.keyed_server import (
    LIMIT_S,
    UVICORN,
    KeyedServers,
    asked_aside,
    carried_out,
)
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Parcel:
    n: int


@pytest.fixture
def name() -> str:
    return f"keyed-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def shipped() -> list[int]:
    return []


@pytest.fixture
def served(kafka: EmbeddedKafka, tmp_path: Path, name: str, shipped: list[int]) -> Iterator[Served]:
    app = App(
        name,
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path / "state",
        size="small",
    )

    @app.job(name="ship")
    async def ship(parcel: Parcel) -> None:
        shipped.append(parcel.n)

    found = Served(app)
    yield found
    found.close()


@pytest.fixture
def servers(
    kafka: EmbeddedKafka, tmp_path: Path, name: str, served: Served
) -> Iterator[KeyedServers]:
    assert served.app.name == name, "its topics are there"
    made = KeyedServers(
        tmp_path / "service",
        f"sqlite:///{tmp_path}/keys.db",
        KEYED_LEASE="2s",
        KEYED_APP=name,
        JOBSTREAM_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        JOBSTREAM_ENQUEUE_TIMEOUT="60s",
    )
    yield made
    made.close()


def test_a_request_killed_after_its_enqueues_is_one_set_of_jobs(
    servers: KeyedServers, served: Served, shipped: list[int]
) -> None:
    first, second = servers.start(UVICORN), servers.start(UVICORN)
    request = {"n": 1, "enqueue": [1, 2, 2], "wait": True}
    topic = served.plans["default"].topic
    partitions = served.plans["default"].partitions
    thread, _ = asked_aside(first, request)
    wait_until(
        lambda: len(served.records(topic, partitions)) == 3, "it has enqueued", limit_s=LIMIT_S
    )
    servers.signal(signal.SIGKILL)
    thread.join(LIMIT_S)
    servers.open_gate()
    carried_out(second, request)

    records = served.records(topic, partitions)
    ids = [record.key() for record in records]
    assert (len(ids), len(set(ids))) == (6, 3), "each of three jobs is there twice"
    served.start()
    for job_id in {(each or b"").decode() for each in ids}:
        assert served.end_of(job_id) == "done"
    assert sorted(shipped) == [1, 2, 2]
