"""The limit of open files is raised, divided among shards, or refused; in other processes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import RocksShard
from jobstream.roles.open_files import ROW_FILES_LEAST, ROW_FILES_MOST

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import resource, sys
soft, hard, shards = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from jobstream.errors import ConfigError
from jobstream.roles.open_files import raised_for
try:
    print(raised_for(shards), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except ConfigError as error:
    print(error)
"""


APP = """
from jobstream import App
app = App("shop", bootstrap_servers="127.0.0.1:1", metrics_port="off")
app.queue("mail", partitions=120)
"""


def told(soft: int, hard: int, shards: int) -> str:
    command = [sys.executable, "-c", PROGRAM, *map(str, (soft, hard, shards))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("soft", "hard", "shards", "row_files", "limit"),
    [
        (256, 4_096, 120, ROW_FILES_LEAST, 4_096),
        (1_024, 4_096, 36, 49, 4_096),
        (1_024, 4_096, 0, ROW_FILES_MOST, 4_096),
        (4_096, 4_096, 12, 159, 4_096),
    ],
)
def test_the_soft_limit_is_raised_and_divided(
    soft: int, hard: int, shards: int, row_files: int, limit: int
) -> None:
    assert told(soft, hard, shards) == f"{row_files} {limit}"


def test_a_hard_limit_below_the_need_is_refused_with_the_number() -> None:
    said = told(256, 1_024, 120)

    assert "120 partitions" in said
    assert "needs 2048 open files; its hard limit is 1024" in said
    assert "LimitNOFILE=" in said


def test_a_worker_is_refused_before_it_asks_a_broker(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    command = [sys.executable, "-m", "jobstream", "worker", "shop:app"]
    limited = ["sh", "-c", 'ulimit -n 1024 && exec "$@"', "sh", *command]

    ended = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "needs 2048 open files; its hard limit is 1024" in ended.stderr


def test_a_shard_keeps_to_its_share(tmp_path: Path) -> None:
    memory = ShardMemory(8 << 20, 4 << 20, row_files=12)
    shard = RocksShard(tmp_path / "data", ttl_seconds=3_600, memory=memory, now_ms=lambda: 0)
    shard.close()

    written = "\n".join(path.read_text() for path in (tmp_path / "data").glob("OPTIONS-*"))
    assert "max_open_files=22" in written
