"""`jobstream views status`: how old the answers are, and a code for scripts."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from sqlalchemy import insert
from tests.harness.folded import sqlite_in

from jobstream.cli.root import root
from jobstream.exits import FAILURE, OK
from jobstream.views.database import opened
from jobstream.views.db_tables import places
from jobstream.views.migrating import migrate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("ago_s", "code"), [(1, OK), (3_600, FAILURE)])
def test_a_projection_that_stopped_is_told_and_fails(tmp_path: Path, ago_s: int, code: int) -> None:
    url = sqlite_in(tmp_path)
    engine = opened(url)
    migrate(engine)
    looked_ms = (int(time.time()) - ago_s) * 1_000
    row = {"topic_id": "a", "partition": 0, "topic": "shop.mail", "next": 3, "record_ms": 0,
           "end": 3, "checked_ms": looked_ms}  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(places), [row])
    engine.dispose()
    words = ["views", "status", "--app", "shop", "--database", url]

    told = CliRunner().invoke(root, words)
    as_json = CliRunner().invoke(root, [*words, "--json"])

    assert (told.exit_code, as_json.exit_code) == (code, code)
    assert "0 records behind when it last wrote" in told.stdout
    is_late = code == FAILURE
    assert ("look whether `jobstream views` runs" in told.stdout) is is_late
    assert bool(json.loads(as_json.stdout)["late"]) is is_late
