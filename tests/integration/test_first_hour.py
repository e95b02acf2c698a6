"""What a newcomer does in the hour after the tutorial, with the program of the FastAPI page."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from typing import TYPE_CHECKING

import pytest
from tests.harness.patience import LOOKS_FOR_LONG
from tests.harness.waiting import wait_until
from tests.integration.newcomer import (
    INSTALL_SECONDS_MAX,
    LIMIT_S,
    SERVES,
    Terminal,
    User,
    developed,
    environment_of,
    locked_versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka

PROGRAM = ("__init__.py", "jobs.py", "fastapi_web.py", "test_fastapi.py")
WEB = ("fastapi", "uvicorn", "httpx2", "pytest")
APP = "shop.jobs:app"
ARGS = '{"order_id": "ORDER", "email": "a@b.example"}'
LISTENS = "Uvicorn running on "
IMPORTS = "from jobstream import App, "
FIELD = "    email: str\n"
MISTAKE = '{}["no_such_key"]'
LABEL = f"""

@app.job(queue=mail, retry=Backoff(attempts=2, first="1s"))
def print_label(args: Receipt, ctx: Context) -> None:
    label = {MISTAKE}
    ctx.logger.info("label of order %s: %s", args.order_id, label)


@app.job(queue=mail)
def pack(args: Receipt, ctx: Context) -> None:
    ctx.enqueue(send_receipt, args, delay="5m")
"""
TEST = """
from jobstream.testing import context

from .jobs import Receipt, pack, send_receipt


def test_a_packed_order_gets_its_receipt_later():
    ctx = context(pack)
    pack(Receipt("o-1", "a@b.example"), ctx)
    (child,) = ctx.enqueued
    assert (child.name, child.args) == (send_receipt.name, Receipt("o-1", "a@b.example"))
    assert child.options["delay"] == "5m"
"""


class Newcomer(User):
    """Knows the app and the folder of its package."""

    def __init__(self, programs: Path, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(programs, folder, environment)
        self.programs = programs
        self.folder = folder
        self.environment = environment
        self.jobs = folder / "shop" / "jobs.py"

    def jobstream(self, line: str, code: int = 0) -> str:
        """Type a command of the app; `APP` stands for it."""
        words = [APP if word == "APP" else word for word in shlex.split(line)]
        return self.types(["jobstream", *words], code)

    def enqueue(self, job: str, order: str, *options: str) -> str:
        """Its id."""
        args = ARGS.replace("ORDER", order)
        return self.types(["jobstream", "enqueue", APP, job, args, *options]).strip()

    def waits_until(self, job_id: str, state: str) -> None:
        """Look at the job until it is in that state."""
        wait_until(
            lambda: f", {state}\n" in self.jobstream(f"job show APP {job_id}"),
            f"job {job_id} is {state}",
            limit_s=LIMIT_S,
        )

    def edits(self, old: str, new: str) -> None:
        """Change the jobs' code."""
        text = self.jobs.read_text()
        assert old in text
        self.jobs.write_text(text.replace(old, new))

    def starts(self, command: str) -> Terminal:
        """A program in a terminal of its own."""
        program, *words = shlex.split(command)
        return Terminal([str(self.programs / program), *words], self.folder, self.environment)


@pytest.fixture(scope="module")
def programs(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of a fresh environment: the built wheel, a web framework, and pytest."""
    root, folder = pytestconfig.rootpath, tmp_path_factory.mktemp("environment")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    # The pure one: to compile takes a minute or more, and `tools.compiled_tests` does it.
    pure = {**os.environ, "JOBSTREAM_PURE": "1"}
    subprocess.run(build, cwd=root, check=True, capture_output=True, env=pure)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    # With the pip that is here, and nothing compiled before it is imported: a minute less.
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-compile", "-q"]
    what = ["-c", str(locked_versions(root, folder)), f"{wheel}[dev]", *WEB]
    subprocess.run([*pip, *what], check=True, cwd=folder, timeout=INSTALL_SECONDS_MAX)
    return python.parent


@pytest.fixture(scope="module")
def newcomer(
    pytestconfig: pytest.Config, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Newcomer:
    """Has copied the page's program and written two jobs, one with a mistake, and a test."""
    folder = tmp_path_factory.mktemp("hour")
    package = folder / "code" / "shop"
    package.mkdir(parents=True)
    for name in PROGRAM:
        shutil.copy(pytestconfig.rootpath / "examples" / "web" / name, package)
    new = Newcomer(programs, package.parent, environment_of(programs, folder))
    new.edits(IMPORTS, f"{IMPORTS}Backoff, ")
    new.jobs.write_text(new.jobs.read_text() + LABEL)
    # Before `dev` starts: with each file that is written there, it takes up the code again.
    (package / "test_jobs.py").write_text(TEST)
    return new


@pytest.fixture(scope="module")
def dev(newcomer: Newcomer) -> Iterator[Terminal]:
    """`jobstream dev`, in which a broker came up, and topics and roles."""
    command = ["jobstream", "dev", "--reload", APP]
    with developed(command, newcomer.programs, newcomer.folder, newcomer.environment) as terminal:
        yield terminal


def soon() -> float:
    return time.monotonic() + LIMIT_S


def test_an_order_over_http_becomes_a_job_that_runs(newcomer: Newcomer, dev: Terminal) -> None:
    server = newcomer.starts("uvicorn shop.fastapi_web:web --port 0")
    try:
        address = server.wait_for(LISTENS, soon()).partition(LISTENS)[2].split()[0]
        order = json.dumps({"id": "o-1", "email": "a@b.example"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/orders", order, headers)  # noqa: S310 - http

        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310 - http
            job_id = json.load(answer)["job_id"]

        assert job_id in dev.wait_for("receipt of order o-1 sent", soon())
        server.press_ctrl_c()
        assert "Traceback" not in server.said()
    finally:
        server.close()


def test_a_mistake_is_shown_with_its_line(newcomer: Newcomer, dev: Terminal) -> None:
    lines = newcomer.jobs.read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if MISTAKE in line)
    frame = f"shop/jobs.py:{number} in print_label"

    job_id = newcomer.enqueue("print_label", "o-2")

    told = dev.wait_for(f"job_failed job_id={job_id}", soon())
    assert f'frame="{frame}"' in told
    assert f'frame="{frame}"' in dev.wait_for(f"job_dead job_id={job_id}", soon())
    dev.wait_for("KeyError: 'no_such_key'", soon(), times=2)
    raised = f'File "{newcomer.jobs}", line {number}, in print_label'
    assert dev.said().count(raised) >= 2
    newcomer.waits_until(job_id, "dead")  # it is logged before its letter is written
    for shown in (
        newcomer.jobstream(f"dlq show APP {job_id}"),
        newcomer.jobstream(f"job show APP {job_id}"),
    ):
        assert frame in shown
        assert raised in shown
        assert MISTAKE in shown
        assert "KeyError: 'no_such_key'" in shown


def test_a_unit_test_reads_what_a_handler_enqueues_and_reaches_no_broker(
    newcomer: Newcomer,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        alone = newcomer.environment | {"JOBSTREAM_BOOTSTRAP_SERVERS": address}
        user = User(newcomer.programs, newcomer.folder, alone)

        said = user.types(["pytest", "-q", "shop"])

        nobody.settimeout(0)
        with pytest.raises(BlockingIOError):
            nobody.accept()
    assert "5 passed" in said
    assert "warning" not in said.lower()


@pytest.fixture
def deployed(newcomer: Newcomer, dev: Terminal, tmp_path: Path) -> Newcomer:  # noqa: ARG001 - the broker
    """The same code as another app, which no worker serves yet: its topics are there."""
    shutil.copytree(newcomer.folder / "shop", tmp_path / "shop")
    other = Newcomer(newcomer.programs, tmp_path, newcomer.environment)
    other.edits('App("shop"', 'App("deployed"')
    other.jobs.write_text(other.jobs.read_text() + LOOKS_FOR_LONG)
    other.jobstream("topics apply APP")
    return other


def test_a_deploy_that_waiting_jobs_would_not_survive_is_refused(deployed: Newcomer) -> None:
    deployed.jobstream("schemas export APP schemas")
    job_id = deployed.enqueue("send_receipt", "o-3")
    deployed.edits(FIELD, f"{FIELD}    language: str\n")

    checked = deployed.jobstream("schemas check APP schemas", code=3)
    refused = deployed.jobstream("worker APP", code=3)

    assert "args.language" in checked
    assert "1 of the 1 jobs looked at: send_receipt" in refused
    assert "args.language" in refused
    assert not deployed.jobstream("dlq list APP"), "nothing died"
    assert f"job {job_id}: send_receipt, queued" in deployed.jobstream(f"job show APP {job_id}")

    deployed.edits("language: str", 'language: str = "en"')

    assert "fit" in deployed.jobstream("schemas check APP schemas")
    worker = deployed.starts(f"jobstream worker {APP}")
    try:
        worker.wait_for("receipt of order o-3 sent", soon())
        assert worker.press_ctrl_c() == 0, worker.said()
    finally:
        worker.close()


def test_a_cancel_says_what_is_true_of_the_job(newcomer: Newcomer, dev: Terminal) -> None:
    # Long enough for commands on a busy machine, and its first hop is after 30 s all the same.
    waits = newcomer.enqueue("send_receipt", "o-4", "--delay", "110s")
    told = newcomer.jobstream(f"control cancel APP {waits}")
    assert f"job {waits} waits on rung" in told

    done = newcomer.enqueue("send_receipt", "o-5")
    dev.wait_for("receipt of order o-5 sent", soon())
    newcomer.waits_until(done, "done")
    told = newcomer.jobstream(f"control cancel APP {done}", code=1)
    assert f"job {done} is done" in told
    assert "there is nothing to cancel" in told

    nobodys = "order-4711"
    told = newcomer.jobstream(f"control cancel APP {nobodys}", code=1)
    assert f"no trace of job '{nobodys}' in the log" in told

    orders = newcomer.jobstream("control list APP")
    assert [waits in orders, done in orders, nobodys in orders] == [True, False, True]
    newcomer.waits_until(waits, "cancelled")
    listed = newcomer.jobstream("jobs APP --state cancelled")
    assert [waits in listed, done in listed] == [True, False]
    assert "receipt of order o-4 sent" not in dev.said()


def test_a_mended_job_is_brought_back_by_its_reason(newcomer: Newcomer, dev: Terminal) -> None:
    job_id = newcomer.enqueue("print_label", "o-6")
    dev.wait_for(f"job_dead job_id={job_id}", soon())
    newcomer.waits_until(job_id, "dead")
    assert job_id in newcomer.jobstream("jobs APP --state dead --type print_label")

    assert "--all" in newcomer.jobstream("dlq redrive APP", code=2)
    told = newcomer.jobstream("dlq redrive APP --reason exhausted", code=1)
    assert "no reason 'exhausted'" in told
    assert "attempts_exhausted (" in told

    served = dev.said().count(SERVES)
    newcomer.edits(MISTAKE, '"fragile"')
    dev.wait_for(SERVES, soon(), times=served + 1)
    assert job_id in newcomer.jobstream("dlq redrive APP --reason attempts_exhausted --json")
    dev.wait_for("label of order o-6: fragile", soon())
    newcomer.waits_until(job_id, "done")
    assert job_id in newcomer.jobstream("jobs APP --state done --type print_label")
    assert job_id not in newcomer.jobstream("dlq list APP")
