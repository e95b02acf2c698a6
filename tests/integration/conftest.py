"""What integration tests of the command line share."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from tests.harness.patience import patient_enqueues
from tests.integration.by_command import Shop, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka


@pytest.fixture(scope="module", autouse=True)
def _patient() -> Iterator[None]:
    with patient_enqueues():
        yield


@pytest.fixture
def shop(tmp_path: Path, kafka: EmbeddedKafka) -> Shop:
    made = Shop(f"shop-{uuid.uuid4().hex[:8]}", tmp_path, kafka.bootstrap_servers)
    made.run("topics", "apply", "shop:app")
    return made


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.close()
