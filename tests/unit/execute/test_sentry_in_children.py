"""Reports to Sentry from child processes: each run there has a scope of its own, too."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

from jobstream.cli.app_name import AppName
from jobstream.cli.loading import load_app
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE, Raised
from jobstream_processors.execute.on_processes import ProcessExecutor

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from tests.unit.execute.conftest import Ear

MODULE = """
import json, os, warnings
from dataclasses import dataclass
from pathlib import Path
from jobstream import App

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sentry_sdk
    from jobstream.sentry import install

BOOK = Path(__file__).parent / "events"

class Writes(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
            with BOOK.open("a") as book:
                told = event["message"], event["tags"]["job.id"], crumbs, os.getpid()
                book.write(json.dumps(told) + "\\n")

sentry_sdk.init(dsn="http://key@127.0.0.1/1", transport=Writes, auto_enabling_integrations=False)
app = App("parcels")
install(app)

@dataclass(frozen=True)
class Parcel:
    to: str

@app.job
def says(parcel: Parcel) -> None:
    sentry_sdk.add_breadcrumb(message="packs")
    sentry_sdk.capture_message("packed")

@app.job
async def fails(parcel: Parcel) -> None:
    sentry_sdk.add_breadcrumb(message="fails")
    sentry_sdk.capture_message("about to fail")
    raise LookupError("no parcel")
"""


def test_what_runs_in_a_child_has_the_scope_of_its_job(
    ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"reports_{os.getpid()}_{tmp_path.name}"
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{name}.py").write_text(MODULE)
    app = load_app(AppName(f"{name}:app"))
    jobs = ("says", "fails", "says")

    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE, leave_s=lambda: 60.0)
        try:
            for number, job in enumerate(jobs):
                ear.shop.handle(job)
                ear.shop.specs[job] = app.specs()[job]
                executor.submit(ear.delivery(f"{job}-{number}", job))
                await ear.outcome(f"{job}-{number}")
        finally:
            executor.close()

    asyncio.run(main())

    assert ear.outcomes["says-0"] == ear.outcomes["says-2"] == DONE
    assert isinstance(ear.outcomes["fails-1"], Raised)
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [event[:3] for event in events] == [
        ["packed", "says-0", ["says begins, attempt 1", "packs"]],
        ["about to fail", "fails-1", ["fails begins, attempt 1", "fails"]],
        ["packed", "says-2", ["says begins, attempt 1", "packs"]],
    ]
    assert os.getpid() not in {event[3] for event in events}
