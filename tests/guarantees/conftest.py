"""Puts an app on trial: each test gets topics, a ledger and a fleet of its own."""

from __future__ import annotations

import importlib.util
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.harness.bank import Bank
from tests.harness.fleet import Fleet
from tests.harness.postgres import Postgres
from tests.harness.stillness import Stillness
from tests.harness.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tests.harness.bank import NewBank

    from jobstream.broker.embedded import EmbeddedKafka

PROGRAMS = Path(__file__).with_name("programs")


class NewTrial(Protocol):
    """Makes a trial on the cluster at `bootstrap`; `settings` are variables of the product."""

    def __call__(self, bootstrap: str, **settings: str) -> tuple[Trial, ModuleType]: ...


@pytest.fixture
def new_trial(tmp_path: Path) -> Iterator[NewTrial]:
    """A factory of trials; all their processes have ended when the test has."""
    with ExitStack() as ending:

        def make(bootstrap: str, **settings: str) -> tuple[Trial, ModuleType]:
            name = f"trial-{uuid.uuid4().hex[:8]}"
            folder = tmp_path / name
            env = {
                "JOBSTREAM_BOOTSTRAP_SERVERS": bootstrap,
                "JOBSTREAM_STATE_DIR": str(folder / "state"),
                # A busy machine may hold up its broker for as long as the default.
                "JOBSTREAM_ENQUEUE_TIMEOUT": "30s",
                "TRIAL_APP": name,
                "TRIAL_FOLDER": str(folder),
                **settings,
            }
            folder.mkdir()
            shop = _load(env)
            ending.callback(shop.app.close)
            command = [sys.executable, str(PROGRAMS / "worker.py")]
            fleet = ending.enter_context(Fleet(command, folder / "logs", env))
            stillness = ending.enter_context(Stillness())
            trial = Trial(shop.app, fleet, folder / "ledger", stillness)
            trial.create_topics()
            return trial, shop

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def new_bank(
    request: pytest.FixtureRequest, kafka: EmbeddedKafka, tmp_path: Path
) -> Iterator[NewBank]:
    """A factory of banks, each with a database of its own; their processes end with the test.

    The parameter names the database; behind it may stand how far its clock is off.
    """
    with ExitStack() as ending:
        database, _, clock = request.param.partition(" ")
        if database == "sqlite":
            file = tmp_path / "bank.db"
            file.touch()  # A relay's engine, which the bank looks by, makes none.
            url = f"sqlite:///{file}"
        else:
            url = ending.enter_context(Postgres(clock)).url

        def make() -> Bank:
            env = {
                "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "JOBSTREAM_STATE_DIR": str(tmp_path / "state"),
                "JOBSTREAM_ENQUEUE_TIMEOUT": "30s",
                "JOBSTREAM_CONCURRENCY": "4",
                "TRIAL_APP": f"bank-{uuid.uuid4().hex[:8]}",
                "TRIAL_FOLDER": str(tmp_path),
                "TRIAL_DATABASE": url,
            }
            return ending.enter_context(Bank(_load(env, "bank"), tmp_path, env))

        yield make


def _load(env: dict[str, str], program: str = "shop") -> ModuleType:
    """The app as a module of its own: each trial has another name, other topics."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        path = PROGRAMS / f"{program}.py"
        name = f"{program}_{env['TRIAL_APP'].replace('-', '_')}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module
