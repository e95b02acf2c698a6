"""`make observe`: the services of docker-compose.yml, by their own commands, up and scraped."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from examples.observe.stack import services
from tests.harness.installed import program
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kafka
READY_S = 300
STOP_S = 180
SEEN_S = 180
PLACE = re.compile(r"observe: (\w+) +http://(\S+)")
WORKERS = 1


class Stack:
    """`python -m examples.observe` as a process, and what it says."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.observe", "--workers", str(WORKERS),
             "--keep", str(folder)],
            cwd=root,
            env={k: v for k, v in os.environ.items() if not k.startswith("JOBSTREAM_METRICS")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        wait_until(
            lambda: self.process.poll() is not None or "observe: ready" in self.text(),
            "all is ready",
            limit_s=READY_S,
        )
        assert self.process.poll() is None, self.text() + self.logs()

    def address(self, name: str) -> str:
        found = dict(PLACE.findall(self.text()))
        return str(found[name])

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        text = urllib.parse.urlencode({"query": query})
        url = f"http://{self.address('prometheus')}/api/v1/query?{text}"
        with urllib.request.urlopen(url, timeout=SEEN_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def processes(self) -> dict[int, list[str]]:
        """Process id → words, of those whose environment or command names the folder."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
                known = words + (process / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(self.folder) in known:
                found[int(process.name)] = words.decode().split("\0")[:-1]
        found.pop(self.process.pid, None)
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(2)
        code = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        return code

    def text(self) -> str:
        return "".join(self.said)

    def logs(self) -> str:
        return "\n".join(
            f"== {log.name}\n{log.read_text()[-2_000:]}" for log in self.folder.glob("*.log")
        )

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.said.extend(lines)


@pytest.fixture
def stack(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Stack]:
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    made = Stack(pytestconfig.rootpath, tmp_path / "observe")
    yield made
    made.stop()


def test_the_stack_comes_up_is_seen_and_leaves_nothing(
    stack: Stack, pytestconfig: pytest.Config
) -> None:
    stack.wait_until_ready()
    kept = [each for each in services(pytestconfig.rootpath) if not each.runs_once]
    running = list(stack.processes().values())

    # Ready, each by its own /readyz, with exactly the command that a container gets.
    for service in kept:
        assert list(service.command) in running, f"{service.name}: {service.command}"
        assert stack.address(service.name)
    roles = {service.name for service in kept}
    wait_until(
        lambda: {each["metric"]["role"] for each in stack.ask("up == 1")} >= roles,
        "every role is scraped",
        limit_s=SEEN_S,
    )
    wait_until(
        lambda: stack.ask('sum(jobs_settled_total{job_type!="_canary"}) > 20'),
        "jobs of the load are settled",
        limit_s=SEEN_S,
    )
    queues = {"mail", "images", "payments"}
    wait_until(
        lambda: {each["metric"]["queue"] for each in stack.ask("jobs_lag_seconds")} == queues,
        "lag is seen",
        limit_s=SEEN_S,
    )
    wait_until(
        lambda: len(stack.ask("jobs_canary_round_trip_seconds_count > 0")) == 3,
        "the canary of every queue came home",
        limit_s=SEEN_S,
    )
    wait_until(
        lambda: stack.ask('jobs_enqueued_total{role="load"} > 0'),
        "what the load's client counted is seen, which is scraped apart",
        limit_s=SEEN_S,
    )

    assert stack.stop() == 0, stack.text() + stack.logs()
    assert stack.processes() == {}


def test_a_missing_program_is_named_with_its_package(pytestconfig: pytest.Config) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "examples.observe"],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        timeout=STOP_S,
        check=False,
    )

    assert told.returncode == 1
    assert "apt-get install prometheus prometheus-alertmanager" in told.stderr
