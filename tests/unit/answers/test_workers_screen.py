"""What the page Workers shows of a process that answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.harness import bad_minute

from jobstream.answers import workers_screen


@pytest.mark.parametrize("leaving", [True, False, None])
def test_worker_that_drains_is_shown_as_such(
    monkeypatch: pytest.MonkeyPatch, *, leaving: bool | None
) -> None:
    monkeypatch.setattr(
        workers_screen, "groups", lambda *_: (bad_minute.WORKERS, bad_minute.DELAYERS)
    )
    status = {"role": "worker", "worker": "web-1:7", "live": True, "ready": not leaving}
    if leaving is not None:  # one that has not joined its group yet does not say so
        status["leaving"] = leaving
    taken = SimpleNamespace(orders=())
    site: Any = SimpleNamespace(
        look=SimpleNamespace(now=lambda: (taken, bad_minute.TOLD)),
        processes=lambda: SimpleNamespace(value=[status]),
    )

    (row,) = workers_screen.workers(site).processes

    assert row.draining is bool(leaving)
