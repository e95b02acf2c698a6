"""Every process has a place of its own on the disk, and knows when there is none."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jobstream.dedup import slots
from jobstream.dedup.errors import StateDirError
from jobstream.dedup.folder import Identity, ShardFolder, sweep
from jobstream.dedup.slots import claim_slot

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = Identity("jobs.mail.dedup", "id", 0, ttl_seconds=3600)


def shard_in(slot: Path, partition: int = 0) -> Path:
    folder = ShardFolder(slot, "jobs.mail.dedup", partition)
    folder.data(IDENTITY).mkdir()
    return folder.path


def aged(folder: Path, seconds: float) -> None:
    for path in (*folder.rglob("*"), folder):
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))


def test_the_first_free_slot_is_taken(tmp_path: Path) -> None:
    with claim_slot(tmp_path, "jobs", "c1") as first, claim_slot(tmp_path, "jobs", "c1") as second:
        assert first.path == tmp_path / "jobs" / "c1" / "slot-0"
        assert second.path.name == "slot-1"


def test_a_slot_is_free_again_when_closed(tmp_path: Path) -> None:
    first = claim_slot(tmp_path, "jobs", "c1")
    second = claim_slot(tmp_path, "jobs", "c1")
    first.close()
    first.close()

    with claim_slot(tmp_path, "jobs", "c1") as again:
        assert again.path == first.path
    second.close()


def test_apps_and_clusters_do_not_meet(tmp_path: Path) -> None:
    places = [("jobs", "c1"), ("jobs", "c2"), ("mail", "c1")]
    claimed = [claim_slot(tmp_path, *place) for place in places]

    assert {slot.path.name for slot in claimed} == {"slot-0"}
    assert len({slot.path for slot in claimed}) == 3
    for slot in claimed:
        slot.close()


@pytest.mark.parametrize(
    ("app", "cluster"), [("", "c"), ("jobs", ""), ("jobs", ".."), ("../x", "c"), ("jobs", "a/b")]
)
def test_a_name_that_leaves_the_state_dir_is_refused(
    tmp_path: Path, app: str, cluster: str
) -> None:
    with pytest.raises(StateDirError, match="can't name a directory"):
        claim_slot(tmp_path, app, cluster)


def test_a_state_dir_that_is_a_file_is_refused_with_path_and_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StateDirError, match=r"file/jobs/c1: Not a directory; name a writable"):
        claim_slot(tmp_path / "file", "jobs", "c1")


def test_a_disk_that_takes_no_byte_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from jobstream.dedup.slots import claim_slot\n"
        "claim_slot(sys.argv[1], 'jobs', 'c1')"
    )

    ran = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        # No file may grow: the closest thing to a full disk that needs no disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )

    assert "StateDirError: state dir" in ran.stderr
    assert "name a writable local directory with free space" in ran.stderr


def test_more_processes_than_slots_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "SLOTS_MAX", 1)

    with (
        claim_slot(tmp_path, "jobs", "c1"),
        pytest.raises(StateDirError, match="all 1 slots are taken"),
    ):
        claim_slot(tmp_path, "jobs", "c1")


def test_shards_whose_rows_are_all_past_their_time_go(tmp_path: Path) -> None:
    with claim_slot(tmp_path, "jobs", "c1") as slot:
        old, warm = shard_in(slot.path, 0), shard_in(slot.path, 1)
        aged(old, 2 * 3600 + 60)
        aged(warm, 2 * 3600 - 60)

    with claim_slot(tmp_path, "jobs", "c1"):
        assert not old.exists()
        assert warm.exists()


def test_a_shard_that_is_written_is_not_old(tmp_path: Path) -> None:
    folder = shard_in(tmp_path)
    aged(folder, 10 * 3600)
    (next(path for path in folder.iterdir() if path.is_dir()) / "000004.log").touch()

    assert sweep(tmp_path, (tmp_path).stat().st_mtime) == []
    assert folder.exists()


def test_what_is_no_shard_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    aged(tmp_path, 10**8)

    assert sweep(tmp_path, tmp_path.stat().st_mtime + 10**9) == []
