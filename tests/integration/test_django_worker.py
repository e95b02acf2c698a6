"""`manage.py jobstream` for a project of Django: a task that kills its worker, run in a child."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from tests.spoken import Start, of_broker, programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

LIMIT_S = 180
SETTINGS = """
SECRET_KEY = "of a test"
INSTALLED_APPS = ["jobstream.django"]
JOBSTREAM_APP = "site_jobs.app"
TASKS = {
    "default": {
        "BACKEND": "jobstream.django.TasksBackend",
        "OPTIONS": {"PRIORITIES": False, "RETRY": {"first": "1s", "jitter": False}},
    }
}
"""
JOBS = """
from jobstream import App

app = App("site-worker", size="small")
"""
TASKS = """
import os
import signal
from pathlib import Path

from jobstream.django.tasks_api import tasks

@tasks.task()
def kills_once(marker):
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    print(f"ran in {os.getpid()} of {os.getppid()}", flush=True)
"""
ENQUEUE = """
import sys, django
django.setup()
from site_tasks import kills_once
print(kills_once.enqueue(sys.argv[1]).id)
"""


@pytest.fixture
def start(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Start]:
    """Run Python with some words in the folder of the project; ended with the test."""
    texts = {"settings": SETTINGS, "jobs": JOBS, "tasks": TASKS}
    for name, text in texts.items():
        (tmp_path / f"site_{name}.py").write_text(text)
    environ = of_broker(kafka.bootstrap_servers, tmp_path)
    environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
    with programs(tmp_path, environ, LIMIT_S) as run:
        yield run


def test_a_task_that_killed_its_worker_runs_in_a_child_of_the_next(
    start: Start, tmp_path: Path
) -> None:
    topics = start("-m", "django", "jobstream", "topics", "apply")
    assert topics.process.wait(LIMIT_S) == 0, topics.said
    enqueued = start("-c", ENQUEUE, str(tmp_path / "marker"))
    assert enqueued.process.wait(LIMIT_S) == 0, enqueued.said
    first = start("-m", "django", "jobstream", "worker")
    first.process.wait(LIMIT_S)
    assert (tmp_path / "marker").exists(), first.said

    second = start("-m", "django", "jobstream", "worker")

    (line,) = second.hear("ran in ")
    assert line.endswith(f" of {second.process.pid}"), "it is the worker's child"
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(LIMIT_S) == 0


def test_without_settings_the_project_says_what_to_set(start: Start) -> None:
    program = (
        "import os\ndel os.environ['DJANGO_SETTINGS_MODULE']\n"
        "from jobstream import ConfigError\n"
        "try:\n    import jobstream.django.project\n"
        "except ConfigError as error:\n    print(error)\n"
    )

    ran = start("-c", program)

    assert ran.hear("DJANGO_SETTINGS_MODULE is not set")
