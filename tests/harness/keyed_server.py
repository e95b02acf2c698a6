"""Servers of `tests/guarantees/programs/keyed_web.py`, and the effects that their requests had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from sqlalchemy import Engine, select
from tests.harness.waiting import wait_until

from jobstream.broker.free_ports import choose_addresses
from jobstream.sql import create_tables
from jobstream.sql.schema import idempotency_keys
from jobstream.sql.store_engine import engine_for

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PROGRAM = "tests.guarantees.programs.keyed_web"
LIMIT_S = 120.0
LEASE_S = 5
"""Of tests that wait for its end, or see it renewed: a busy machine holds a process up for less."""
UVICORN = ("uvicorn", f"{PROGRAM}:web", "--log-level", "warning")
GUNICORN = ("gunicorn", f"{PROGRAM}:application", "--preload", "--workers", "3", "--threads", "4")


class KeyedServers:
    """The replicas of one service on one database; ended with the test."""

    def __init__(self, folder: Path, url: str, **env: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.url = folder, url
        self.engine: Engine = engine_for(url)
        create_tables(self.engine)
        with self.engine.begin() as connection:
            connection.execute(idempotency_keys.delete())
        self._env = {
            **os.environ, "KEYED_FOLDER": str(folder), "KEYED_URL": url, "PYTHONPATH": str(ROOT),
            **env,
        }  # fmt: skip
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, command: tuple[str, ...], **env: str) -> str:
        """Start one and wait until it listens; returns its address."""
        port = int(choose_addresses(1, None)[0].port)
        bound = (
            ["--bind", f"127.0.0.1:{port}"] if command[0] == "gunicorn" else ["--port", str(port)]
        )
        with (self.folder / f"log-{port}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, *bound],
                cwd=ROOT, env={**self._env, **env}, stdout=log, stderr=log,
            )  # fmt: skip
        self._started.append(process)
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: _listens(address, process), f"{command[0]} listens", limit_s=LIMIT_S)
        return address

    def signal(self, number: signal.Signals, which: int = 0) -> None:
        """Send one to a server."""
        self._started[which].send_signal(number)

    def wait_until_renewed(self) -> None:
        """Wait until the one key has been held for longer than a lease that nobody renews."""
        began_ms = self.row().lease_ms
        over_ms = began_ms + LEASE_S * 1_000
        wait_until(lambda: self.row().lease_ms > over_ms, "it is renewed", limit_s=LIMIT_S)

    def effects(self, what: str = "end") -> list[list[str]]:
        """Lines of the ledger that begin with the word: what, number, process."""
        ledger = self.folder / "ledger"
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [line.split() for line in lines if line.split()[0] == what]

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    def row(self) -> Any:  # noqa: ANN401 - a row
        """The one row of the table."""
        with self.engine.connect() as connection:
            return connection.execute(select(idempotency_keys)).one()

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)
        self.engine.dispose()


def post(address: str, key: str | None, request: Mapping[str, Any]) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = json.dumps(request)
    return httpx2.post(f"{address}/orders", content=body, headers=headers, timeout=LIMIT_S)


def asked_aside(address: str, request: Mapping[str, Any]) -> tuple[threading.Thread, list[Any]]:
    """A request by the key `k`, on a thread; the list gets its answer, or how it was cut off."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(post(address, "k", request))
        except httpx2.TransportError as error:
            found.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread, found


def carried_out(address: str, request: Mapping[str, Any]) -> httpx2.Response:
    """The answer to that request once the lease of a server that is gone has ended."""

    def asked() -> httpx2.Response | None:
        answer = post(address, "k", request)
        return answer if answer.status_code == 201 else None

    answer = wait_until(asked, "the lease is over", limit_s=LIMIT_S)
    assert answer is not None
    return answer


def _listens(address: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the server has ended; see its log"
    try:
        httpx2.request("HEAD", f"{address}/", timeout=10)
    except httpx2.TransportError:
        return False
    return True
