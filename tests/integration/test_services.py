"""The services of the examples as a user starts them: real servers, Kafka, clients at once."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_until
from tests.spoken import Spoken, Start, of_broker, programs

from jobstream.broker.free_ports import choose_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
LIMIT_S = 240
CLIENTS = 8
ORDERS = 40


@pytest.fixture
def start(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Start]:
    """Run a module as a process that talks to the broker; ended with the test."""
    environ = of_broker(kafka.bootstrap_servers, tmp_path)
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    with programs(ROOT, environ, LIMIT_S) as run:
        yield partial(run, "-m")


def address_in(spoken: Spoken) -> str:
    (line,) = spoken.hear("ready at ")
    return line.rpartition(" ")[2]


def order(address: str, number: int) -> dict[str, Any]:
    sent = {"id": f"o-{number}", "email": "a@b.example"}
    answer = httpx2.post(f"{address}/orders", json=sent, timeout=LIMIT_S)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == told["status_url"]
    return told


def json_at(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(url, timeout=LIMIT_S).json()
    return found


def mailed_by(url: str) -> Any:  # noqa: ANN401 - any JSON
    return wait_until(lambda: json_at(url)["mailed_by"], "the receipt is sent", limit_s=LIMIT_S)


def wait_until_done(url: str) -> None:
    wait_until(lambda: json_at(url)["stage"] == "done", "the job is done", limit_s=LIMIT_S)


def test_the_same_with_postgresql(start: Start) -> None:
    with Postgres() as server:
        url = server.url.replace("postgresql://", "postgresql+psycopg://")
        service = start("examples.fastapi_service", SHOP_DATABASE=url)
        address = address_in(service)
        told = order(address, ORDERS)  # not one of the other test: it would be the same job
        assert mailed_by(f"{address}/orders/o-{ORDERS}") == told["job_id"]
        stop(service)


def test_a_request_with_an_idempotency_key_is_carried_out_once(start: Start) -> None:
    service = start("examples.fastapi_service")
    address = address_in(service)
    sent = {"id": "o-keyed", "email": "a@b.example"}
    headers = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}

    first, again = (
        httpx2.post(f"{address}/orders", json=sent, headers=headers, timeout=LIMIT_S)
        for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert mailed_by(f"{address}/orders/o-keyed") == first.json()["job_id"]
    stop(service)


def test_tasks_of_django_with_postgresql(start: Start) -> None:
    with Postgres() as server:
        service = start("examples.django_service", SHOP_DATABASE=server.url)
        address = address_in(service)
        told = order(address, ORDERS)  # not one of the other test: it would be the same job
        assert mailed_by(f"{address}/orders/o-{ORDERS}") == told["job_id"]
        stop(service)


def stop(service: Spoken) -> None:
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(LIMIT_S) == 0, service.said


@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_clients_at_once_see_what_their_jobs_did(start: Start, framework: str) -> None:
    service = start(f"examples.{framework}_service")
    address = address_in(service)

    with ThreadPoolExecutor(CLIENTS) as clients:
        sent = list(clients.map(lambda number: order(address, number), range(ORDERS)))

    for number, told in enumerate(sent):
        url = f"{address}/orders/o-{number}"
        assert mailed_by(url) == told["job_id"]
    last = sent[-1]["status_url"]
    wait_until_done(last)
    page = httpx2.get(f"{address}/", timeout=LIMIT_S)
    assert "o-1" in page.text
    if framework == "django":
        result = json_at(f"{address}/results/{sent[0]['job_id']}")
        assert result == {"status": "SUCCESSFUL", "attempts": 1}
    stop(service)


PRELOADED = """
import os
from dataclasses import dataclass

from flask import Flask, Response

from jobstream import App
from jobstream.flask import Jobstream

app = App("preloaded", size="small")

@dataclass(frozen=True)
class Note:
    pid: int

@app.job
def note(args: Note) -> None:
    print(f"note by {args.pid}\\n", end="", flush=True)  # one write: threads print at once

web = Flask(__name__)
jobs = Jobstream(web, app=app, status="/jobs/<job_id>")
if "gunicorn" in os.environ.get("SERVED_BY", ""):
    first = note.enqueue(Note(os.getpid()))  # the client is connected, and then forked
    with web.test_request_context():
        assert jobs.status(first.job_id).job_id == first.job_id  # and so is who looks for jobs

@web.get("/")
def enqueue() -> Response:
    return jobs.accepted(note.enqueue(Note(os.getpid())))
"""


def test_a_client_used_before_a_fork_is_used_after_it(start: Start, tmp_path: Path) -> None:
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    topics = start("jobstream", "topics", "apply", "preloaded:app")
    assert topics.process.wait(LIMIT_S) == 0, topics.said
    worker = start("jobstream", "worker", "preloaded:app")
    bind = ["--bind", "127.0.0.1:0", "--workers", "2", "--threads", "2"]

    server = start("gunicorn", "preloaded:web", "--preload", *bind, SERVED_BY="gunicorn")

    (line,) = server.hear("Listening at: ")
    address = line.partition("Listening at: ")[2].split()[0]
    with ThreadPoolExecutor(CLIENTS) as clients:
        sent = list(clients.map(lambda _: json_at(f"{address}/"), range(ORDERS)))
    notes = worker.hear("note by ", ORDERS + 1)
    assert len({each["job_id"] for each in sent}) == ORDERS
    assert len({note.split()[-1] for note in notes}) >= 2  # the master, and one who was forked
    wait_until_done(sent[0]["status_url"])


def test_a_reloader_starts_a_new_client_with_each_change(start: Start, tmp_path: Path) -> None:
    program = tmp_path / "preloaded.py"
    program.write_text(PRELOADED)
    topics = start("jobstream", "topics", "apply", "preloaded:app")
    assert topics.process.wait(LIMIT_S) == 0, topics.said
    (place,) = choose_addresses(1, None)
    port, address = place.port, f"http://127.0.0.1:{place.port}"
    server = start("flask", "--app", "preloaded", "run", "--debug", "--port", str(port))
    server.hear("Debugger PIN")
    before = json_at(f"{address}/")

    program.write_text(PRELOADED + '\nweb.add_url_rule("/new", view_func=enqueue)\n')

    after = wait_until(lambda: answer_of(f"{address}/new"), "the new code", limit_s=LIMIT_S)
    worker = start("jobstream", "worker", "preloaded:app")
    notes = worker.hear("note by ", 2)
    assert after is not None
    assert before["job_id"] != after["job_id"]
    assert len({note.split()[-1] for note in notes}) == 2  # two processes, a client each


def answer_of(url: str) -> dict[str, Any] | None:
    """The JSON there; None while the server is away or has no such page."""
    try:
        answer = httpx2.get(url, timeout=LIMIT_S)
    except httpx2.TransportError:
        return None
    return answer.json() if answer.status_code == 202 else None
