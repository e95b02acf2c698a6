"""The files by which processes are found: left-over ones go, living ones stay, none is half."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from jobstream.observe.targets import announce, living

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 120
STAY = """
import sys
from pathlib import Path
from jobstream.observe.targets import announce
kept = announce(Path(sys.argv[1]), "worker", "127.0.0.1:1", {"role": "worker"})
print("there", flush=True)
sys.stdin.read()
"""


def test_the_file_of_a_killed_process_is_not_listed_and_goes_at_the_next_start(
    tmp_path: Path,
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", STAY, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        assert [target.pid for target in living(tmp_path)] == [child.pid]
        child.kill()
        child.wait(DEADLINE_S)

    assert [path.name for path in tmp_path.glob("*.json")] == [f"worker-{child.pid}.json"]
    assert living(tmp_path) == []

    mine = announce(tmp_path, "delayer", "127.0.0.1:2", {"role": "delayer"})
    assert [path.name for path in tmp_path.glob("*.json")] == [f"delayer-{os.getpid()}.json"]
    mine.close()


def test_two_of_one_process_have_files_of_their_own(tmp_path: Path) -> None:
    one = announce(tmp_path, "worker", "127.0.0.1:1", {"role": "worker"})
    two = announce(tmp_path, "worker", "127.0.0.1:2", {"role": "worker"})

    assert [t.address for t in living(tmp_path)] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert {t.pid for t in living(tmp_path)} == {os.getpid()}
    one.close()
    one.close()
    assert [t.address for t in living(tmp_path)] == ["127.0.0.1:2"]
    two.close()


def test_a_file_that_says_nothing_is_passed_over(tmp_path: Path) -> None:
    mine = announce(tmp_path, "worker", "127.0.0.1:1", {"role": "worker"})
    mine.path.write_text("{}")

    assert living(tmp_path) == []
    mine.close()
    assert living(tmp_path / "nowhere") == []
