"""What the read side says of itself while looks fail: it lives, and is not ready."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.harness.folded import sqlite_in
from tests.harness.waiting import wait_until

from jobstream.kafka.client import admin_calls
from jobstream.operate.view import AppView
from jobstream.settings import Settings
from jobstream.views.database import opened
from jobstream.views.migrating import migrate
from jobstream.views.role import STUCK_S, ViewsRole
from jobstream.views.views_retention import Keep
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 60.0
NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize("away", ["the database", "the brokers"])
def test_an_outage_is_no_reason_to_be_killed_and_one_to_be_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    monkeypatch.setattr(admin_calls, "WAIT_S", 0.1)
    there = tmp_path / "there"
    engine = opened(sqlite_in(there))
    if away == "the brokers":
        there.mkdir()
        migrate(engine)
    view = AppView("shop", Settings.load(bootstrap_servers=NOBODY))
    view.catalogue = Catalogue()  # as it was read before
    role = ViewsRole(view, engine, Keep())
    upkeep = role.upkeep
    upkeep.looked_mono = upkeep.came_mono = upkeep.looked_mono - 2 * STUCK_S
    assert not all(check.ok for check in role.probes.live()), "nothing comes round"
    looking = threading.Thread(target=upkeep.run)
    looking.start()
    with closing(upkeep):
        wait_until(lambda: upkeep.failures > 0, "a look has failed", limit_s=LIMIT_S)
        wait_until(
            lambda: all(check.ok for check in role.probes.live()), "it lives", limit_s=LIMIT_S
        )
        ready = {check.name: check for check in role.probes.ready()}
        families = {family.name: family for family in role.metrics.collect()}
    looking.join(LIMIT_S)
    engine.dispose()

    word = "database" if away == "the database" else NOBODY
    assert not ready["storing"].ok
    assert word in ready["storing"].why
    assert not ready["fresh"].ok, "what it saw last tells nothing of now"
    assert families["jobs_views_stalled"].samples[0].value == (away == "the database")
