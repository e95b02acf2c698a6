"""The state disk fills up while a worker serves: it says so and ends, and nothing is lost by it."""

from __future__ import annotations

import errno
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream.testing.rows import ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from tests.harness.fleet import Member
    from tests.harness.trial import Trial

    from jobstream.broker.fixture import RunningKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]

pytestmark = pytest.mark.kafka

DISK_MB = 64
LIMIT_S = 180.0
CONCURRENCY = 50
FIX = "free some space, or move the state directory"


class Disk:
    """A file system of its own, to be filled to the last byte."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Take all that is left, and what is freed meanwhile."""
        with self._ballast.open("ab", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError as error:
                    assert error.errno == errno.ENOSPC  # noqa: PT017 - it ends the loop
                    return

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(path)]
    try:
        refused = subprocess.run(mount, capture_output=True, text=True, check=False).stderr
    except OSError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"a disk of its own needs the right to mount one: {refused.strip()}")
    yield Disk(path)
    unmount = ["umount", "--lazy", str(path)]
    subprocess.run(unmount, check=True)


def ended(trial: Trial, member: Member) -> str:
    """Wait until the worker has ended by itself, with an error; returns its log."""
    trial.fleet.died(member, LIMIT_S)  # What ran and had no row yet may run again.
    assert member.exit_code != 0
    return member.log.read_text()


def test_a_full_disk_ends_the_worker_by_name_and_loses_nothing(
    kafka: RunningKafka, disk: Disk, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(
        kafka.bootstrap_servers,
        JOBSTREAM_STATE_DIR=str(disk.path),
        JOBSTREAM_CONCURRENCY=str(CONCURRENCY),
        TRIAL_PARTITIONS="1",
        JOBSTREAM_SESSION_TIMEOUT="3s",
    )
    worker = trial.fleet.start()
    ids = shop.steady.enqueue_many(shop.Work(n) for n in range(100))
    wait_until(lambda: len(ends(trial.rows())) == 100, "it serves", limit_s=LIMIT_S)

    disk.fill()
    ids += shop.steady.enqueue_many(shop.Work(n) for n in range(2_000))
    told = ended(trial, worker)
    assert FIX in told
    assert "table_unavailable" in told
    assert f"{disk.path}/" in told
    assert "bytes free" in told
    disk.fill()
    assert FIX in ended(trial, trial.fleet.start())

    disk.free()
    trial.fleet.start()
    trial.wait_until_quiet(LIMIT_S)
    found = trial.audit(ids)
    assert (found.done, found.lost, found.doubled) == (2_100, 0, 0), found.findings
    assert found.reruns <= CONCURRENCY, "what ran when the disk was full has its rows"
