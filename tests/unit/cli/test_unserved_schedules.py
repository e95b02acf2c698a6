"""A process that leaves schedules to others says so, and tells how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App
from jobstream.cli.commands import worker
from jobstream.cli.commands.worker import UNSERVED_FIX, warn_of_schedules
from jobstream.observe.observed import Observed
from jobstream.roles.stop_signals import SIGNALS

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Nothing:
    """No args."""


@pytest.fixture
def app() -> App:
    made = App("shop", size="small")

    @made.every("1h")
    @made.job
    def report(_args: Nothing) -> None:
        """Nothing."""

    return made


@pytest.mark.parametrize("only", ["worker", "delayer"])
def test_a_process_of_another_role_says_which_one_is_needed(
    app: App, only: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_schedules(app, only)

    (told,) = [each for each in caplog.records if each.message == "schedules_not_served"]
    assert (told.__dict__["only"], told.__dict__["schedules"]) == (only, ["report"])
    assert told.__dict__["fix"] == UNSERVED_FIX
    assert "--only scheduler" in UNSERVED_FIX


@pytest.mark.parametrize("only", [None, "scheduler"])
def test_one_that_fires_them_says_nothing(
    app: App, only: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_schedules(app, only)
    warn_of_schedules(App("shop", size="small"), "worker")

    assert not caplog.records


def test_metrics_of_a_worker_tell_how_many_the_code_declares() -> None:
    seen = Observed("shop", ["worker"], {}, {}, 1.0)
    assert declared(seen) == [0]
    seen.declared = 2

    assert declared(seen) == [2]


def declared(seen: Observed) -> list[float]:
    return [
        sample.value
        for collector in seen.collectors()
        for family in collector.collect()
        for sample in family.samples
        if sample.name == "jobs_schedules_declared"
    ]


SHOP = """
from dataclasses import dataclass
from jobstream import App

app = App("shop", size="small")

@dataclass(frozen=True)
class Nothing: ...

@app.every("1h")
@app.job
def report(args: Nothing) -> None: ...
"""


@pytest.mark.parametrize(
    ("words", "count"), [(["--only", "worker"], 1), (["--only", "worker", "--supervised"], 0)]
)
def test_the_command_says_it_unless_its_parent_does(
    words: list[str],
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "unserved_shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    # What comes after it is a worker that serves, and what comes before would outlive the test.
    monkeypatch.setattr(worker, "_serve", lambda *_, **__: 0)
    monkeypatch.setattr(worker, "configure_process", lambda *_: None)
    monkeypatch.setattr(SIGNALS, "supervised", False)
    with pytest.raises(SystemExit):
        worker.command.main(["unserved_shop:app", *words])

    assert caplog.messages.count("schedules_not_served") == count
