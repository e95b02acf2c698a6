"""The program of the FastAPI page as it is deployed: a server, Kafka, and a worker."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.spoken import Start, of_broker, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
LIMIT_S = 180
LISTENS = "Uvicorn running on "


@pytest.fixture
def start(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Start]:
    """Run a module as a process that talks to the broker; ended with the test."""
    with programs(ROOT, of_broker(kafka.bootstrap_servers, tmp_path), LIMIT_S) as run:
        yield partial(run, "-m")


def test_a_request_becomes_a_job_that_a_worker_runs(start: Start) -> None:
    topics = start("jobstream", "topics", "apply", "examples.web.jobs:app")
    assert topics.process.wait(LIMIT_S) == 0, topics.said
    server = start("uvicorn", "examples.web.fastapi_web:web", "--port", "0")
    worker = start("jobstream", "worker", "examples.web.jobs:app", "--log", "json")
    (told,) = server.hear(LISTENS)
    address = told.partition(LISTENS)[2].split()[0]

    answer = httpx2.post(
        f"{address}/orders",
        json={"id": "o-1", "email": "a@b.example"},
        headers={"X-Request-ID": "request-9"},
        timeout=LIMIT_S,
    )

    assert answer.status_code == 202
    (line,) = worker.hear("receipt of order o-1 sent")
    said = json.loads(line)
    assert (said["job_id"], said["correlation_id"]) == (answer.json()["job_id"], "request-9")
    for each in (server, worker):
        each.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(LIMIT_S) == 0
    server.hear("Application shutdown complete")
