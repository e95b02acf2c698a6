"""What a table does with a shard that is foreign, damaged or open elsewhere: start anew."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from jobstream.dedup.folder import ASIDES_KEPT, IDENTITY
from jobstream.dedup.shard import Mark, RocksShard
from jobstream_processors.errors import TableUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.dedup.conftest import Bench

    from jobstream_processors.ports import Shard

    Damage = Callable[[Path], object]

AT = 1_700_000_000_000
PRINT, DIGEST = b"schema--", b"args----"
HOUR_MS = 3_600_000
FAR_MS = 48 * HOUR_MS


def reason_of(record: logging.LogRecord) -> str:
    return str(vars(record)["reason"])


def settled(shard: Shard, *ids: str) -> list[bool]:
    return [known is not None and known.done for known in shard.get(ids)]


def only_folder(bench: Bench) -> Path:
    (name,) = bench.folders()
    return bench.slot.path / name


def data_folder(bench: Bench) -> Path:
    (data,) = (path for path in only_folder(bench).iterdir() if path.is_dir())
    return data


@pytest.mark.parametrize(
    ("window_ms", "topic_id", "reason"),
    [
        (FAR_MS, None, "ttl_seconds"),
        (HOUR_MS, "another-incarnation", "topic_id"),
    ],
)
def test_a_foreign_shard_is_put_aside_and_rebuilt(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    window_ms: int,
    topic_id: str | None,
    reason: str,
) -> None:
    bench.done("a")
    bench.open().shard.put_done([("stale", PRINT, DIGEST)])
    bench.close()

    opened = bench.table.open(
        bench.place,
        claim=bench.claim(),
        topic_id=topic_id or bench.broker.topic_id(bench.topic),
        window_ms=window_ms,
    )

    assert settled(opened.shard, "a", "stale") == [True, False]
    (warning,) = (r for r in caplog.records if r.message == "dedup_shard_rebuilt")
    assert reason_of(warning).startswith(f"foreign: its {reason} is")
    assert len(bench.folders()) == 2


def test_a_shard_ahead_of_the_own_claim_is_foreign(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.done("a")
    shard = bench.open().shard
    assert isinstance(shard, RocksShard)
    shard.mark(Mark(10_000, None))
    bench.close(catch_up_s=0)

    opened = bench.open()

    assert settled(opened.shard, "a") == [True]
    assert [reason_of(r)[:7] for r in caplog.records if r.levelno >= logging.WARNING] == ["foreign"]


def overwrite(path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 40)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def closed_and_damaged(bench: Bench, ids: list[str], pattern: str, damage: Damage) -> None:
    bench.done(*ids)
    bench.open()
    bench.close()
    folder, _, name = pattern.rpartition("/")
    found = list((data_folder(bench) / folder).glob(name))
    assert found
    for path in found:
        damage(path)


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("CURRENT", overwrite),
        ("CURRENT", lambda path: path.unlink()),
        ("MANIFEST-*", overwrite),
        ("*.sst", overwrite),
        ("*.sst", truncate),
        ("*.sst", lambda path: path.unlink()),
        ("../" + IDENTITY, overwrite),
        ("../" + IDENTITY, truncate),
        ("../" + IDENTITY, lambda path: path.write_text("[]")),
        ("../" + IDENTITY, lambda path: path.unlink()),
    ],
)
def test_a_damaged_shard_is_rebuilt(
    bench: Bench, caplog: pytest.LogCaptureFixture, pattern: str, damage: Damage
) -> None:
    ids = list(map(str, range(300)))
    closed_and_damaged(bench, ids, pattern, damage)

    opened = bench.open()

    assert all(settled(opened.shard, *ids))
    assert len(bench.folders()) == 2
    assert [reason_of(r)[:7] for r in caplog.records if r.message == "dedup_shard_rebuilt"] == [
        "damaged"
    ]


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        # RocksDB takes a manifest's end for the end of what was written, as after a power cut.
        ("MANIFEST-*", truncate),
        ("rocksdict-config.json", overwrite),
        ("rocksdict-config.json", truncate),
    ],
)
def test_damage_that_rocksdb_can_live_with_loses_no_row(
    bench: Bench, pattern: str, damage: Damage
) -> None:
    ids = list(map(str, range(300)))
    closed_and_damaged(bench, ids, pattern, damage)

    assert all(settled(bench.open().shard, *ids))


def test_damage_met_while_reading_is_rebuilt_at_the_next_open(bench: Bench) -> None:
    ids = list(map(str, range(3000)))
    bench.done(*ids)
    bench.open()
    bench.close()
    for path in data_folder(bench).glob("*.sst"):
        content = bytearray(path.read_bytes())
        content[40:4000] = bytes(3960)  # the rows: size, footer and index stay whole
        path.write_bytes(content)

    shard = bench.open().shard
    with pytest.raises(TableUnavailable, match="damaged"):
        shard.get(ids)

    assert all(settled(bench.open().shard, *ids))
    assert len(bench.folders()) == 2


def test_a_missing_data_folder_is_an_empty_shard(bench: Bench) -> None:
    bench.done("a")
    bench.open()
    bench.close()
    data = data_folder(bench)
    data.rename(bench.state_dir / "elsewhere")

    assert settled(bench.open().shard, "a") == [True]


def test_few_shards_put_aside_are_kept(bench: Bench) -> None:
    for number in range(ASIDES_KEPT + 3):
        bench.open(window_ms=HOUR_MS * (number + 1))

    asides = [name for name in bench.folders() if ".aside-" in name]
    assert len(asides) == ASIDES_KEPT


def test_a_shard_still_open_elsewhere_is_left_to_its_holder(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.done("a")
    held = bench.open().shard
    bench.table = bench.new_table()  # one that does not know of it

    opened = bench.open()

    assert settled(opened.shard, "a") == [True]
    assert [reason_of(r)[:6] for r in caplog.records if r.message == "dedup_shard_rebuilt"] == [
        "locked"
    ]
    opened.shard.put_done([("mine", PRINT, DIGEST)])
    held.put_done([("theirs", PRINT, DIGEST)])  # into a file it had open
    with pytest.raises(TableUnavailable):
        held.close()  # needs a new file, and makes none among ours
    assert settled(opened.shard, "mine", "theirs") == [True, False]
