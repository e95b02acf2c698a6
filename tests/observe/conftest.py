"""Prometheus, the Alertmanager and a receiver of alerts: real ones, on free ports, for a test.

Every program started here is ended by its process id when the test is over. Where a program is
missing the test is skipped and says so; with CI set it fails, for there `.ci/install` has put it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import yaml
from tests.harness.installed import program
from tests.harness.patience import patient_enqueues
from tests.harness.waiting import wait_until

from jobstream.broker.free_ports import choose_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

READY_S = 180
STOP_S = 60
ANSWER_S = 60

Json = Any


@pytest.fixture(scope="module", autouse=True)
def _patient() -> Iterator[None]:
    with patient_enqueues():
        yield


def ask(url: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data, timeout=ANSWER_S) as answer:  # noqa: S310 - our own
        return bytes(answer.read())


def answers(url: str) -> bool:
    try:
        ask(url)
    except OSError:
        return False
    return True


class Server:
    """A program that answers over HTTP, from its start until `stop`."""

    def __init__(self, command: list[str], address: str, log: Path) -> None:
        self.address = address
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            wait_until(self._is_ready, f"{command[0]} answers, see {log}", limit_s=READY_S)
        except BaseException:
            self.stop()
            raise

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return answers(f"{self.address}/-/ready")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)


class Prometheus(Server):
    """A real Prometheus, and the questions a test has for it."""

    def api(self, path: str, **question: str) -> Json:
        """The `data` of an answer. A bad question is an AssertionError in Prometheus' own words."""
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(question)}"
        try:
            answer = json.loads(ask(url))
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        return answer["data"]

    def values(self, expr: str, at: float | None = None) -> dict[str, float]:
        """What an expression is: a number per series, by its labels' values joined. None: now."""
        moment = {} if at is None else {"time": str(at)}
        found = self.api("query", query=expr, **moment)["result"]
        return {
            " ".join(
                value for name, value in sorted(one["metric"].items()) if name != "__name__"
            ): (float(one["value"][1]))
            for one in found
        }

    def value(self, expr: str) -> float | None:
        """The one number that an expression is now; None while there is none."""
        found = list(self.values(expr).values())
        assert len(found) <= 1, f"{expr} is {len(found)} numbers"
        return found[0] if found else None


class StartPrometheus(Protocol):
    """Start one that scrapes what the target files name (a glob), every second."""

    def __call__(
        self, targets: str, *, rules: Iterable[Path] = (), alertmanager: str = ""
    ) -> Prometheus: ...


@pytest.fixture(scope="session")
def start_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPrometheus]:
    """Start a Prometheus; it is stopped at the end of the run."""
    started: list[Prometheus] = []

    def start(targets: str, *, rules: Iterable[Path] = (), alertmanager: str = "") -> Prometheus:
        binary = program("prometheus")
        folder = tmp_path_factory.mktemp("prometheus")
        config: dict[str, Json] = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {
                    "job_name": "jobstream",
                    "file_sd_configs": [{"files": [targets], "refresh_interval": "1s"}],
                }
            ],
        }
        if alertmanager:
            host = alertmanager.removeprefix("http://")
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [host]}]}]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = choose_addresses(1, None)[0].port
        command = [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            # What fires before the Alertmanager is found would be sent again after a minute.
            "--rules.alert.resend-delay=1s",
        ]
        server = Prometheus(command, f"http://127.0.0.1:{port}", folder / "log")
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


class StartAlertmanager(Protocol):
    """Start one with this configuration (the content of alertmanager.yml)."""

    def __call__(self, config: Mapping[str, Json]) -> Server: ...


@pytest.fixture(scope="session")
def start_alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAlertmanager]:
    """Start an Alertmanager; it is stopped at the end of the run."""
    started: list[Server] = []

    def start(config: Mapping[str, Json]) -> Server:
        binary = program("prometheus-alertmanager", "alertmanager")
        folder = tmp_path_factory.mktemp("alertmanager")
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(dict(config)))
        port = choose_addresses(1, None)[0].port
        command = [
            binary,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        server = Server(command, f"http://127.0.0.1:{port}", folder / "log")
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


class Webhook:
    """Receives what an Alertmanager delivers, and keeps it in the order it came."""

    def __init__(self) -> None:
        self.received: list[Json] = []
        deliveries = self.received

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                deliveries.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests read what was received, not a log of requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_S)

    def alerts(self, name: str, status: str) -> list[Json]:
        """The alerts of a name that were delivered as `firing` or `resolved`."""
        return [
            alert
            for delivery in list(self.received)
            for alert in delivery["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == status
        ]


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    """A receiver of alerts; its `url` belongs into the Alertmanager's configuration."""
    with contextlib.closing(Webhook()) as receiver:
        yield receiver
