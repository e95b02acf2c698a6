"""A worker's start where nobody answers what waits: it goes on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import make_dataclass
from typing import TYPE_CHECKING, Any

from jobstream import App
from jobstream.roles.start_check import refuse_undecodable
from jobstream_schemas import Catalogue, JobCodec

if TYPE_CHECKING:
    import pytest

NOBODY = "127.0.0.1:1"
OLD: Any = make_dataclass("Thing", [("a", int)])
NEW: Any = make_dataclass("Thing", [("a", int), ("b", str)])
BOUND_S = 60.0


def start(args: type[Any], *, limit_s: float) -> float:
    """Look, with the old schema registered; how long it took."""
    app = App("shop", bootstrap_servers=NOBODY)

    @app.declare("send", args).handler
    def send(args: Any) -> None:  # noqa: ANN401 - declared above
        """Do nothing."""

    catalogue = Catalogue()
    catalogue.register(JobCodec(OLD, "send").schema)
    began = time.monotonic()
    plans = app.plans().values()
    asyncio.run(refuse_undecodable(app, plans, app.specs(), catalogue, limit_s=limit_s))
    return time.monotonic() - began


def test_brokers_that_do_not_answer_keep_no_worker_down(caplog: pytest.LogCaptureFixture) -> None:
    assert start(NEW, limit_s=0.2) < BOUND_S

    (said,) = [each for each in caplog.records if each.message == "waiting_jobs_not_looked_at"]
    assert said.levelname == "WARNING"
    assert "0.2 s" in said.reason  # type: ignore[attr-defined] # an extra


def test_nobody_is_asked_where_all_that_is_registered_fits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    start(OLD, limit_s=BOUND_S)

    # A client of the test before may still say that nobody answers it.
    assert [each for each in caplog.records if each.name == "jobstream.roles"] == []
