"""The ledger keeps every line of every process, also of one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from jobstream import Context, Snooze
from jobstream.testing.ledger import RETURNED, Ledger, now_ms
from jobstream_processors.context import RunFacts

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import sys
from jobstream.testing.ledger import Ledger
ledger = Ledger(sys.argv[1])
while True:
    ledger.enqueued("x" * 100)
    print(flush=True)
"""


def context(job_id: str = "j") -> Context:
    source = ("app.q", 0, 7)
    return Context(RunFacts(job_id, "work", "q", 1, 2, 3, 1_000, 9_000, 5, None, source))


def test_a_run_is_a_start_and_an_end(tmp_path: Path) -> None:
    ledger, before = Ledger(tmp_path), now_ms()

    with ledger.run(context(), key="k"):
        pass

    begin, end = ledger
    assert (begin.kind, begin.how, end.kind, end.how) == ("start", "", "end", RETURNED)
    for entry in (begin, end):
        assert (entry.job_id, entry.name, entry.queue, entry.key) == ("j", "work", "q", "k")
        assert (entry.redrive, entry.seq, entry.attempt, entry.enqueued_ms) == (1, 2, 3, 1_000)
        assert (entry.pid, entry.parent) == (os.getpid(), os.getppid())
    assert before <= begin.at_ms <= end.at_ms <= now_ms()


@pytest.mark.parametrize("raised", [ValueError("bad"), Snooze("5s"), SystemExit(1)])
def test_what_a_handler_raises_is_noted_and_goes_on(tmp_path: Path, raised: BaseException) -> None:
    ledger = Ledger(tmp_path)

    with pytest.raises(type(raised)), ledger.run(context()):
        raise raised

    assert [entry.how for entry in ledger] == ["", type(raised).__name__]


def test_threads_share_a_file_without_mixing_lines(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ledger.enqueued, (str(i) for i in range(2_000))))

    assert {entry.job_id for entry in ledger} == {str(i) for i in range(2_000)}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fork_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.enqueued("parent")
    child = os.fork()
    if child == 0:
        ledger.enqueued("child")
        os._exit(0)
    os.waitpid(child, 0)

    assert {entry.job_id for entry in ledger} == {"parent", "child"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)

    entries = list(Ledger(tmp_path))
    assert len(entries) >= 50
    assert {entry.job_id for entry in entries} == {"x" * 100}


def test_a_line_that_was_cut_never_happened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.enqueued("whole")
    ledger.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b'{"kind":"start","job_id":"cu')

    ledger.enqueued("next")

    assert {entry.job_id for entry in ledger} == {"whole", "next"}


def test_a_ledger_that_nobody_wrote_is_empty(tmp_path: Path) -> None:
    assert list(Ledger(tmp_path / "none")) == []
