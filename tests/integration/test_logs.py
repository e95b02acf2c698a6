"""A real worker's log: every line names its job, and none of a failed run tells its secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
WAIT_S = 180
CANARY = "hunter2/canary'7"
MASKED = "Login(user='ann', password=***)"
FORMS = (CANARY, json.dumps(CANARY)[1:-1], repr(CANARY)[1:-1], "hunter2%2Fcanary")

APP = """
import asyncio, logging, threading
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote
from jobstream import App, Backoff, Context, Failure, Secret

app = App("{name}", drain="10s")
mail = app.queue("mail", partitions=1, rungs={{"5s": 1}})
log = logging.getLogger("shop")
once = Backoff(attempts=1)
twice = Backoff(attempts=2, first="100ms", jitter=0)

@dataclass(frozen=True)
class Login:
    user: str
    password: Annotated[str, Secret]

def fail(args, ctx):
    log.info("trying %s", args, extra={{"user": args.user, "password": args.password}})
    try:
        raise KeyError(args.password)
    except KeyError as error:
        error.add_note(f"at shop?p={{quote(args.password, safe='')}}")
        raise LookupError(f"{{args.user}} has no {{args.password!r}}") from error

@app.job(queue=mail, retry=twice)
async def in_loop(args: Login, ctx: Context) -> None:
    await asyncio.to_thread(log.info, "from its thread")
    fail(args, ctx)

@app.job(queue=mail, retry=once)
def in_thread(args: Login, ctx: Context) -> None:
    beside = threading.Thread(target=log.info, args=("trying %s", args))
    beside.start()
    beside.join()
    fail(args, ctx)

@app.job(queue=mail, retry=once, executor="process")
def in_process(args: Login, ctx: Context) -> None:
    fail(args, ctx)

@app.on_failure
def report(failure: Failure) -> None:
    log.error("reported", extra={{"will_retry": failure.will_retry, "text": failure.traceback,
              "raised": type(failure.exception).__name__}})
"""

ENQUEUE = """
import json, sys
from shop import *
jobs = [in_loop, in_thread, in_process]
print(json.dumps({job.name: job.enqueue(Login("ann", sys.argv[1])).job_id for job in jobs}))
"""


class Shop:
    """An app of its own, driven by commands alone."""

    def __init__(self, folder: Path, servers: str) -> None:
        self.name = f"logs-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.environ = {
            **os.environ,
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "JOBSTREAM_APP": self.name,
        }
        (folder / "shop.py").write_text(APP.format(name=self.name))

    def run(self, *words: str) -> str:
        return self.python("-m", "jobstream", *words)

    def python(self, *words: str) -> str:
        ran = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def log_until_dead(self, count: int) -> str:
        """Run a worker until so many dead letters are reported; everything it wrote."""
        path = self.folder / "worker.log"
        with path.open("w") as out:
            worker = subprocess.Popen(
                [sys.executable, "-m", "jobstream", "worker", "shop:app", "--log", "json"],
                cwd=self.folder,
                env=self.environ,
                stdout=out,
                stderr=out,
            )
            try:
                deadline = time.monotonic() + WAIT_S
                while path.read_text().count('"will_retry": false') < count:
                    assert worker.poll() is None, path.read_text()
                    assert time.monotonic() < deadline, path.read_text()
                worker.send_signal(signal.SIGTERM)
                worker.wait(WAIT_S)
            finally:
                worker.kill()
                worker.wait(WAIT_S)
        return path.read_text()


def test_every_line_of_a_job_names_it_and_no_line_tells_its_secret(
    tmp_path: Path, kafka: EmbeddedKafka
) -> None:
    shop = Shop(tmp_path, kafka.bootstrap_servers)
    shop.run("topics", "apply", "shop:app")
    ids: dict[str, str] = json.loads(shop.python("-c", ENQUEUE, CANARY))

    text = shop.log_until_dead(3)

    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert not [form for form in FORMS if form in text]
    said: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        said.setdefault(line["event"].partition(" ")[0], []).append(line)

    # The job of each line: of user code, of ours, and of the callback's.
    for event in ("trying", "reported", "job_dead"):
        told = [line for line in said[event] if "job" in line]
        assert {(line["job"], line["job_id"]) for line in told} == {*ids.items()}, event
        for line in told:
            assert line["correlation_id"] == line["job_id"]
            assert (line["queue"], line["redrive"], line["partition"]) == ("mail", 0, 0)
            assert line["topic"] == f"{shop.name}.mail"
    nameless = [line for line in said["trying"] if "job" not in line]
    assert len(nameless) == 1, "only a thread that a handler starts by itself is not known"
    attempts = [line["attempt"] for line in said["trying"] if line.get("job") == "in_loop"]
    assert attempts == [1, 2]
    assert {line["job"] for line in said["from"]} == {"in_loop"}
    assert len({line["pid"] for line in said["trying"]}) == 2

    # What is told in place of the secret, and that there was something to hide at all.
    assert all(line["event"] == "trying " + MASKED for line in said["trying"])
    assert {line["password"] for line in said["trying"] if "job" in line} == {"***"}
    assert all(line["why"] == 'ann has no "***"' for line in said["job_dead"] + said["job_failed"])
    assert {line["job"]: line["raised"] for line in said["reported"]}["in_process"] == "NoneType"
    tracebacks = [line["exception"] for line in said["job_dead"]]
    for text in tracebacks + [line["text"] for line in said["reported"]]:
        assert 'KeyError: "***"' in text
        assert "at shop?p=***" in text
        assert 'has no "***"' in text

    # Lines outside of jobs name none.
    for event in ("worker_started", "queue_served", "ready", "draining", "stopped"):
        assert said[event]
        assert not [line for line in said[event] if "job_id" in line or "offset" in line]

    # What is kept of it in Kafka, as the command line shows it without the app's code.
    letters = [json.loads(line) for line in shop.run("dlq", "list", "--json").splitlines()]
    assert {letter["message"] for letter in letters} == {'ann has no "***"'}
    job_id = ids["in_process"]
    shown = shop.run("dlq", "show", job_id, "--json") + shop.run("job", "show", job_id)
    assert not [form for form in FORMS if form in shown]
    assert '"password": "***"' in shown
    assert "'password': '***'" in shown
