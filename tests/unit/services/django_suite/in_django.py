"""Django with the settings of the small project; its App is in memory for each test."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

_folder = tempfile.TemporaryDirectory()
os.environ["SITE_DATABASE"] = str(Path(_folder.name) / "site.sqlite3")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.unit.services.django_site.settings"

import django

django.setup()

from tests.unit.services.django_site.tasks import RAN

from jobstream.django import results_from
from jobstream.django.project import app  # it has the queues of TASKS, as the page tells
from jobstream.django.tasks_api import signals
from jobstream.testing import MemoryLookup, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.testing import MemoryJobs


@pytest.fixture
def jobs() -> Iterator[MemoryJobs]:
    """Run tasks in memory, and look for results there."""
    RAN.clear()
    with memory(app) as bound, results_from(MemoryLookup(bound)):
        yield bound


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str, str]]]:
    """The signals: which one, of which task, in which status."""
    told: list[tuple[str, str, str]] = []
    receivers = []
    for name in ("task_enqueued", "task_started", "task_finished"):

        def hear(name: str = name, **said: object) -> None:
            result = said["task_result"]
            told.append((name, result.id, str(result.status)))  # type: ignore[attr-defined]

        receivers.append((getattr(signals, name), hear))
    for signal, hear in receivers:
        signal.connect(hear)
    yield told
    for signal, hear in receivers:
        signal.disconnect(hear)
