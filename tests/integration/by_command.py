"""An app that tests drive by commands alone, each a process of its own, as an operator does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.spoken import Spoken

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 180
APP = """
import os
from dataclasses import dataclass
from jobstream import App, Backoff

app = App("{name}", drain="10s")
mail = app.queue("mail", partitions=2)

@dataclass(frozen=True)
class Receipt:
    order_id: str

@app.job(queue=mail, retry=Backoff(attempts=1))
async def send_receipt(args: Receipt) -> None:
    if args.order_id.startswith("bad") and not os.path.exists("repaired"):
        raise LookupError("no order " + args.order_id)
    print("sent", args.order_id, flush=True)
"""


class Shop:
    """An app of its own in a folder of its own, driven by commands alone."""

    def __init__(self, name: str, folder: Path, servers: str) -> None:
        self.name = name
        self.folder = folder
        self.servers = servers
        (folder / "shop.py").write_text(APP.format(name=name))
        self.environ = {
            **os.environ,
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "JOBSTREAM_APP": name,
        }

    def run(self, *words: str, stdin: str = "", code: int | None = 0) -> str:
        """Run a command to its end, and hold it to its exit code; what it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "jobstream", *words],
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert code in {None, ran.returncode}, (
            f"{words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        )
        return ran.stdout if code == 0 or "--json" in words else ran.stdout + ran.stderr

    def json(self, *words: str, code: int | None = 0) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.run(*words, "--json", code=code))

    def lines(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*words, "--json", code=code).splitlines()]

    def letters(self, count: int) -> list[dict[str, Any]]:
        """Ask for the open letters until there are so many."""
        deadline = time.monotonic() + WAIT_S
        while len(found := self.lines("dlq", "list")) < count:
            assert time.monotonic() < deadline, f"{len(found)} letters of {count}"
        return sorted(found, key=lambda letter: str(letter["origin"]))

    def enqueue(self, order_id: str) -> str:
        args = json.dumps({"order_id": order_id})
        told = self.json("enqueue", "shop:app", "send_receipt", args)
        return str(told["job_id"])

    def enqueue_on(self, partition: int, order_id: str) -> None:
        """Enqueue jobs of that name until one stands on the partition."""
        args = json.dumps({"order_id": order_id})
        while self.json("enqueue", "shop:app", "send_receipt", args)["partition"] != partition:
            pass


class Worker(Spoken):
    """`jobstream worker` as a process, and the lines it says."""

    def __init__(self, shop: Shop, *options: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobstream", "worker", "shop:app", "--log", "json", *options],
            cwd=shop.folder,
            env=shop.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        super().__init__(process, WAIT_S)

    def drain(self) -> int:
        """SIGTERM; its exit code once it has left, and its children with it."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.drain()
