"""Puts an app on trial: each test gets topics, a ledger and a fleet of its own."""

from __future__ import annotations

import importlib.util
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.harness.fleet import Fleet
from tests.harness.stillness import Stillness
from tests.harness.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

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


def _load(env: dict[str, str]) -> ModuleType:
    """The app as a module of its own: each trial has another name, other topics."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        path = PROGRAMS / "shop.py"
        name = f"shop_{env['TRIAL_APP'].replace('-', '_')}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module
