"""Faults that only a process of its own can show: forks, hard time limits, signals, state dirs."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.fleet import Fleet
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App
from jobstream.exits import REPLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.fleet import Member

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka

DRAIN_S = 150
"""Of a worker that would wait so long for its jobs, were it not told twice."""
PROGRAM = '''
"""An app whose handlers leave a line in a file for all that they do."""
import asyncio, logging, multiprocessing, os, sys, threading
from dataclasses import dataclass
from pathlib import Path

from jobstream import App, Backoff, Context
from jobstream.exits import OK, REPLACE, leave, leave_threads
from jobstream.roles.ground import Wishes
from jobstream.roles.process import Roles

APP = os.environ["FAULTS_APP"]
TOLD = Path(os.environ["FAULTS_TOLD"])

@dataclass(frozen=True)
class Args:
    text: str

def tell(line):
    with TOLD.open("a") as file:
        file.write(f"{os.getpid()} {line}\\n")

logging.basicConfig(level=logging.INFO)
app = App(APP, commit_interval="200ms")
app.queue("default", partitions=2)
once = Backoff(attempts=1)

@app.job(retry=once)
async def forks_on_loop(args: Args) -> None:
    if os.fork() == 0:
        tell("copy " + args.text)
    else:
        tell("original " + args.text)

@app.job(retry=once)
async def forks_and_waits(args: Args) -> None:
    tell(("copy " if os.fork() == 0 else "original ") + args.text)
    await asyncio.sleep(0.01)
    tell("waited " + args.text)

@app.job(retry=once)
def forks_in_thread(args: Args) -> None:
    tell(("copy " if os.fork() == 0 else "original ") + args.text)

@app.job(retry=once, executor="process")
def forks_in_process(args: Args) -> None:
    tell(("copy " if os.fork() == 0 else "original ") + args.text)

@app.job(retry=once, executor="process")
def in_process(args: Args) -> None:
    tell("ran " + args.text)

@app.job(retry=once)
async def on_loop(args: Args) -> None:
    tell("ran " + args.text)

@app.job(retry=once)
def in_thread(args: Args) -> None:
    tell("ran " + args.text)

@app.job(retry=once, executor="process", timeout="2s")
def spins(args: Args) -> None:
    tell("spins " + args.text)
    while True:
        pass

@app.job(retry=once, executor="process")
def exits(args: Args) -> None:
    sys.exit(3)

@app.job(retry=Backoff(attempts=2, first=0, cap="1s"), timeout="25s")
async def never_ends(args: Args) -> None:
    tell("never ends " + args.text)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            tell("swallowed " + args.text)

@app.job(retry=once, timeout="25s")
async def fills_the_pool(args: Args) -> None:
    tell("fills the pool " + args.text)
    await asyncio.gather(*(asyncio.to_thread(threading.Event().wait) for _ in range(64)))

@app.job(retry=once)
async def has_children(args: Args) -> None:
    await app.jobs["on_loop"].aenqueue(Args(args.text))

@app.job(retry=once, timeout="1s")
async def holds_the_loop(args: Args) -> None:
    tell("holds " + args.text)
    while True:
        pass

def terminated() -> str:
    process = multiprocessing.get_context("fork").Process(target=threading.Event().wait)
    process.start()
    process.terminate()
    process.join(20)
    return f"exit {process.exitcode} "

@app.job(retry=once)
async def multi_on_loop(args: Args) -> None:
    tell(terminated() + args.text)

@app.job(retry=once)
def multi_in_thread(args: Args) -> None:
    tell(terminated() + args.text)

@app.job(retry=once, executor="process")
def multi_in_process(args: Args) -> None:
    tell(terminated() + args.text)

@app.job(retry=once, timeout="25s")
def blocks(args: Args) -> None:
    tell("blocks " + args.text)
    threading.Event().wait()

@app.job(retry=once, timeout="10m")
def blocks_for_long(args: Args) -> None:
    tell("blocks " + args.text)
    threading.Event().wait()

if __name__ == "__main__":
    Roles(app, wishes=Wishes(lambda _: leave(REPLACE))).run()
    leave_threads(OK)  # as the command does
'''


STUCK = [
    ("never_ends", "never ends"),
    ("blocks", "blocks"),
    ("fills_the_pool", "fills the pool"),
]
"""Handlers that never end, and what each tells first.

Each is to be cut before its limit, which the next worker waits out before it starts it again.
"""


class Shop:
    """The program above with its topics, run as often as asked."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path) -> None:
        self.told = folder / "told.txt"
        self.told.touch()
        program = self._program = folder / "shop.py"
        program.write_text(PROGRAM)
        name = f"process-{uuid.uuid4().hex[:8]}"
        self.env = {
            "FAULTS_APP": name,
            "FAULTS_TOLD": str(self.told),
            "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "JOBSTREAM_DRAIN": "1s",
        }
        app = self._app = _load(name, kafka)
        self.served = Served(app)
        self.fleet = Fleet([sys.executable, str(program)], folder / "logs", self.env)

    def enqueue(self, job: str, text: str) -> str:
        """Enqueue; returns the job's id."""
        declared = self._app.jobs[job]
        return declared.enqueue(declared.codec.cls(text)).job_id

    def lines(self) -> list[str]:
        """What handlers told, without the process ids."""
        return [line.partition(" ")[2] for line in self.told.read_text().splitlines()]

    def is_running(self, pid: int) -> bool:
        """Whether that process runs this program or is a child of it; a dead one does neither."""
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except FileNotFoundError:
            return False
        return str(self._program) in command or "jobstream_processors.execute.child" in command

    def wait_for(self, line: str) -> None:
        """Wait until a handler has told that line."""
        wait_until(lambda: line in self.lines(), f"a handler tells {line!r}", limit_s=180)


def _load(name: str, kafka: EmbeddedKafka) -> App:
    from dataclasses import make_dataclass  # noqa: PLC0415 - stands for the program's own class

    args = make_dataclass("Args", [("text", str)], frozen=True)
    app = App(name, bootstrap_servers=kafka.bootstrap_servers)
    app.queue("default", partitions=2)
    for line in PROGRAM.splitlines():
        if "(args: Args)" in line:
            app.declare(line.split("def ")[1].partition("(")[0], args)
    return app


def pids_alive(shop: Shop) -> set[int]:
    """Process ids that told something and still run this test's program, workers left out."""
    told = {int(line.partition(" ")[0]) for line in shop.told.read_text().splitlines()}
    return {pid for pid in told - {m.pid for m in shop.fleet.members} if shop.is_running(pid)}


@pytest.fixture
def shop(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(kafka, tmp_path)
    with shop.fleet:
        yield shop
    for pid in pids_alive(shop):
        os.kill(pid, signal.SIGKILL)
    shop.served.close()


def test_forked_copies_end_where_the_handler_ends(shop: Shop) -> None:
    member = shop.fleet.start()
    forking = ["forks_on_loop", "forks_and_waits", "forks_in_thread"]

    ids = [shop.enqueue(job, f"{job} {n}") for n in range(3) for job in forking]
    ids += [shop.enqueue(job, f"{job} {n}") for n in range(5) for job in ("on_loop", "in_thread")]

    assert {shop.served.end_of(job_id) for job_id in ids} == {"done"}
    for copy in (f"copy {job} {n}" for n in range(3) for job in forking):
        shop.wait_for(copy)  # A copy may tell it long after the original is done.
    wait_until(lambda: not pids_alive(shop), "the copies have ended", limit_s=180)
    lines = shop.lines()
    for job in forking:
        assert lines.count(f"original {job} 0") == lines.count(f"copy {job} 0") == 1
    assert [line for line in lines if line.startswith("waited")].count(
        "waited forks_and_waits 0"
    ) == 1
    assert len([line for line in lines if line.startswith("ran")]) == 10
    assert shop.fleet.drain(member) == 0


def test_copy_of_a_child_process_does_not_answer_for_the_next_job(shop: Shop) -> None:
    shop.fleet.start({"JOBSTREAM_CHILDREN": "1"})

    ids = [shop.enqueue("forks_in_process", "first")]
    ids += [shop.enqueue("in_process", f"{n}") for n in range(10)]

    assert {shop.served.end_of(job_id) for job_id in ids} == {"done"}
    assert sorted(line for line in shop.lines() if line.startswith("ran")) == [
        f"ran {n}" for n in range(10)
    ]


def test_process_past_its_limit_is_killed(shop: Shop) -> None:
    member = shop.fleet.start()
    spinning = shop.enqueue("spins", "for ever")
    others = [shop.enqueue("in_process", f"{n}") for n in range(3)]

    assert shop.served.letter_of(spinning).told("error") == "jobstream.Timeout"

    assert "spins for ever" in shop.lines(), "it ran at all"
    assert {shop.served.end_of(job_id) for job_id in others} == {"done"}
    assert shop.fleet.drain(member) == 0
    # What was killed is not waited for without end.
    wait_until(lambda: not pids_alive(shop), "its children have ended", limit_s=180)


def test_sys_exit_in_a_child_process_is_a_failed_attempt(shop: Shop) -> None:
    shop.fleet.start()

    letter = shop.served.letter_of(shop.enqueue("exits", "3"))

    assert (letter.reason, letter.told("error")) == ("attempts_exhausted", "builtins.SystemExit")


@pytest.mark.parametrize(("job", "line"), STUCK)
def test_handler_that_never_ends_does_not_keep_the_worker(shop: Shop, job: str, line: str) -> None:
    member = shop.fleet.start()
    job_id = shop.enqueue(job, "one")
    shop.wait_for(f"{line} one")

    code = shop.fleet.drain(member)

    assert code == 0, member.tail()
    assert [r for r in shop.lines() if r == f"{line} one"] == [f"{line} one"]
    # Interrupted uses no attempt, and the next worker starts it again.
    assert not shop.served.letters()
    shop.fleet.start()
    wait_until(lambda: shop.lines().count(f"{line} one") == 2, f"{job_id} runs again", limit_s=180)


def test_a_handler_enqueues_while_others_fill_the_pool_of_the_loop(shop: Shop) -> None:
    shop.fleet.start()
    for number in range(4):
        shop.enqueue("fills_the_pool", f"{number}")
        shop.wait_for(f"fills the pool {number}")

    parent = shop.enqueue("has_children", "child")

    assert shop.served.end_of(parent) == "done"
    shop.wait_for("ran child")


def test_a_handler_that_holds_the_loop_ends_its_worker_and_then_its_child(shop: Shop) -> None:
    member = shop.fleet.start()
    holding = shop.enqueue("holds_the_loop", "for ever")

    assert member.wait(180) == REPLACE
    assert "loop_held" in member.tail()
    shop.fleet.start()

    assert shop.served.letter_of(holding).told("error") == "jobstream.Timeout"
    assert shop.lines().count("holds for ever") == 2
    assert shop.served.end_of(shop.enqueue("on_loop", "two")) == "done"


@pytest.mark.parametrize("where", ["on_loop", "in_thread", "in_process"])
def test_what_a_handler_forks_hears_its_own_signals_and_the_worker_goes_on(
    shop: Shop, where: str
) -> None:
    member = shop.fleet.start()

    job_id = shop.enqueue(f"multi_{where}", "one")

    assert shop.served.end_of(job_id) == "done"
    shop.wait_for(f"exit {-signal.SIGTERM} one")
    assert shop.served.end_of(shop.enqueue("on_loop", "two")) == "done"
    assert "draining" not in member.tail()
    assert shop.fleet.drain(member) == 0


def test_second_sigterm_leaves_at_once_and_loses_nothing(shop: Shop) -> None:
    member = shop.fleet.start({"JOBSTREAM_DRAIN": f"{DRAIN_S}s"})
    stuck = shop.enqueue("blocks_for_long", "one")
    shop.wait_for("blocks one")

    member.signal(signal.SIGTERM)
    wait_until(lambda: "draining" in member.tail(), "it drains", limit_s=180)
    # What comes within a second is the same stop, so it is said until it is heard.
    wait_until(lambda: told_again(member), "it has left", limit_s=DRAIN_S - 5)

    assert member.exit_code == 128 + signal.SIGTERM
    shop.fleet.start()
    wait_until(lambda: shop.lines().count("blocks one") == 2, f"{stuck} runs again", limit_s=180)


def told_again(member: Member) -> bool:
    member.signal(signal.SIGTERM)
    return member.exit_code is not None


def test_two_workers_share_one_state_dir(shop: Shop, tmp_path: Path) -> None:
    shop.fleet.start()
    shop.fleet.start()

    slots = tmp_path / "state" / shop.env["FAULTS_APP"]
    wait_until(lambda: len(list(slots.glob("*/slot-*"))) == 2, "each has a slot", limit_s=180)
    ids = [shop.enqueue("on_loop", f"{n}") for n in range(20)]

    assert {shop.served.end_of(job_id) for job_id in ids} == {"done"}


def test_unusable_state_dir_stops_the_worker_and_names_the_fix(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    member = shop.fleet.start({"JOBSTREAM_STATE_DIR": str(tmp_path / "file" / "state")})

    assert member.wait() != 0
    assert "StateDirError: state dir" in member.tail()
    assert "name a writable local directory" in member.tail()
