"""Starts a service with all that it needs, by one command: Kafka, topics, a worker, the server.

The broker is the one at JOBSTREAM_BOOTSTRAP_SERVERS, or one of its own. Ctrl-C stops everything.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobstream.broker import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[1]
SERVERS = "JOBSTREAM_BOOTSTRAP_SERVERS"
DATABASE = "SHOP_DATABASE"
START_S = 120.0
LEAVE_S = 60.0
LOOK_S = 0.2
Command = list[str]


class Serving:
    """The processes of one service."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._asked = threading.Event()

    def ask_to_leave(self, *_: object) -> None:
        """Called for a signal."""
        self._asked.set()

    def run(self, *words: str) -> None:
        """Run a command to its end; raises CalledProcessError."""
        command = [sys.executable, "-m", *words]
        subprocess.run(command, cwd=ROOT, env=self._environ, check=True)  # noqa: S603 - our own

    def start(self, what: str, words: Sequence[str]) -> None:
        """Start a command that runs until it is stopped."""
        command = [sys.executable, "-m", *words]
        started = subprocess.Popen(command, cwd=ROOT, env=self._environ)  # noqa: S603 - our own
        self._started.append((what, started))

    def wait_for(self, address: str) -> None:
        """Wait until the service answers there; raises RuntimeError if it does not."""
        waited = 0.0
        while not self._answers(address):
            self._check()
            if self._asked.wait(LOOK_S):
                return
            waited += LOOK_S
            if waited > START_S:
                message = f"{address} does not answer"
                raise RuntimeError(message)

    def stay(self) -> None:
        """Block until a signal comes, or one of the processes ends, which raises RuntimeError."""
        while not self._asked.wait(LOOK_S):
            self._check()

    def stop(self) -> None:
        """Stop the server first, the worker last."""
        for _, process in reversed(self._started):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _answers(self, address: str) -> bool:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - of this machine
                return bool(answer.status)
        except OSError:
            return False

    def _check(self) -> None:
        for what, process in self._started:
            if process.poll() is not None:
                message = f"{what} has ended with {process.returncode}"
                raise RuntimeError(message)


TRY = (
    "curl -i {}/orders -H 'Content-Type: application/json' -H 'Idempotency-Key: try-1' "
    """-d '{{"id": "o-1", "email": "a@b.example"}}'"""
)


@dataclass(frozen=True)
class Commands:
    """What a service consists of; each is a module for `python -m`, with its words."""

    topics: Command
    worker: Command
    server: Command
    before: tuple[Command, ...] = ()
    """What runs to its end first, such as migrations."""
    beside: tuple[Command, ...] = ()
    """What runs beside the worker, such as a relay."""


def serve(name: str, commands: Callable[[int, str], Commands]) -> int:
    """Start it all and stay until Ctrl-C; returns the exit code.

    `commands` get the port, and the URL of the database.
    """
    parser = argparse.ArgumentParser(prog=f"python -m examples.{name}")
    parser.add_argument("--port", type=int, default=0, help="port of the service; 0: a free one")
    port = parser.parse_args().port or _free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
        servers = os.environ.get(SERVERS)
        if not servers:
            print(f"{name}: starting Kafka (its first start downloads 44 MB)", flush=True)
            servers = stack.enter_context(EmbeddedKafka()).bootstrap_servers
        environ = {
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            DATABASE: f"sqlite:///{folder / 'shop.sqlite3'}",
            **os.environ,
            SERVERS: servers,
        }
        serving = Serving(environ)
        stack.callback(serving.stop)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, serving.ask_to_leave)
        wanted = commands(port, environ[DATABASE])
        for words in (*wanted.before, wanted.topics):
            serving.run(*words)
        serving.start("the worker", wanted.worker)
        for words in wanted.beside:
            serving.start(" ".join(words[:2]), words)
        serving.start("the server", wanted.server)
        address = f"http://127.0.0.1:{port}"
        serving.wait_for(f"{address}/")
        print(f"{name}: ready at {address}", flush=True)
        print(f"{name}: an order, from another terminal: {TRY.format(address)}", flush=True)
        serving.stay()
    return 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
