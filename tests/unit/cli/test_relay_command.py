"""`jobstream relay status` and `retry` on a database, and what each says that is wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from tests.unit.sql.ledger import Receipt, shop, sqlite

from jobstream.sql import enqueue_in
from jobstream.sql.schema import outbox

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 120


def relay(folder: Path, *words: str, url: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command, which finds the database by its variable."""
    environ = {
        **os.environ,
        "JOBSTREAM_APP": "shop",
        "JOBSTREAM_DATABASE": f"sqlite:///{folder / 'shop.db'}" if url is None else url,
    }
    return subprocess.run(
        [sys.executable, "-m", "jobstream", "relay", *words],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database with one row that waits, and two that were set aside."""
    engine, (_, job) = sqlite(tmp_path / "shop.db"), shop()
    with Session(engine) as session, session.begin():
        for number in (1, 2, 3):
            enqueue_in(session, job, Receipt(number))
    with engine.begin() as connection:
        bad = outbox.c.n > 1
        values = {"set_aside_ms": 1_700_000_000_000, "error": "too large\x1b[31m for anybody"}
        connection.execute(outbox.update().where(bad).values(**values))
    engine.dispose()
    return tmp_path


def aside(folder: Path) -> list[int]:
    engine = create_engine(f"sqlite:///{folder / 'shop.db'}")
    with engine.connect() as connection:
        wanted = select(outbox.c.n).where(outbox.c.set_aside_ms.is_not(None))
        found = list(connection.execute(wanted).scalars())
    engine.dispose()
    return found


def test_status_tells_what_waits_and_why_rows_were_set_aside(folder: Path) -> None:
    told = relay(folder, "status")
    document = json.loads(relay(folder, "status", "--json").stdout)

    assert told.returncode == 0, told.stderr
    assert "waiting    1 row," in told.stdout
    assert "set aside  2 rows" in told.stdout
    assert "\x1b" not in told.stdout
    assert (document["waiting"], document["set_aside"]) == (1, 2)
    assert [row["row"] for row in document["rows"]] == [2, 3]
    assert document["rows"][0]["error"].startswith("too large")


def test_retry_takes_numbers_or_all(folder: Path) -> None:
    assert relay(folder, "retry", "2").stdout == "1 row waits again\n"
    assert aside(folder) == [3]
    assert relay(folder, "retry", "2").returncode == 1
    assert relay(folder, "retry", "--all").stdout == "1 row waits again\n"
    assert aside(folder) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("retry",), "give --all"),
        (("retry", "2", "--all"), "give --all"),
        (("retry", "0"), "0 is not in the range"),
    ],
)
def test_a_retry_of_nothing_said_is_refused(
    folder: Path, words: tuple[str, ...], says: str
) -> None:
    ran = relay(folder, *words)

    assert ran.returncode == 2
    assert says in ran.stderr
    assert aside(folder) == [2, 3]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "or in JOBSTREAM_DATABASE"),
        ("nonsense", "write postgresql://"),
        ("mysql://db/shop", "works with PostgreSQL and SQLite"),
        ("sqlite://", "give a file"),
    ],
)
def test_a_database_that_can_not_be_is_named(folder: Path, url: str, says: str) -> None:
    ran = relay(folder, "status", url=url)

    assert ran.returncode != 0
    assert says in ran.stderr


def test_tables_that_are_missing_are_named_with_the_remedy_and_the_database(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.db").touch()
    ran = relay(tmp_path, "status")

    assert ran.returncode == 1
    assert f"are not in sqlite:///{tmp_path}/shop.db: call" in ran.stderr
    assert "create_tables(engine)" in ran.stderr


@pytest.mark.parametrize("words", [("shop:app",), ("status",), ("retry", "--all")])
@pytest.mark.parametrize("place", ["typo.db", "no/folder.db"])
def test_a_file_that_is_not_there_is_named_and_never_made(
    folder: Path, words: tuple[str, ...], place: str
) -> None:
    (folder / "shop.py").write_text("from jobstream import App\napp = App('shop')\n")
    ran = relay(folder, *words, url=f"sqlite:///{folder}/{place}")

    assert ran.returncode == 1
    assert f"sqlite:///{folder}/{place}: there is no file" in ran.stderr
    assert not (folder / place).exists()


def test_a_life_of_marks_below_the_dedup_window_is_refused(folder: Path) -> None:
    (folder / "shop.py").write_text(
        "from jobstream import App\napp = App('shop')\napp.queue('mail')\n"
    )
    ran = relay(folder, "shop:app", "--keep-inbox", "1h")

    assert ran.returncode == 1
    assert "shorter than the dedup window of queue 'mail'" in ran.stderr
