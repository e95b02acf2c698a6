"""Django's signals, its checks, and enqueues that wait for a commit."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import AsyncClient, Client, override_settings
from tests.unit.services.django_site import settings as project
from tests.unit.services.django_site import tasks as site
from tests.unit.services.django_site.jobs import Note, app, note

from jobstream.django import enqueue_on_commit
from jobstream.django.tasks_api import PACKAGE, exceptions, signals, tasks
from jobstream.enqueue.request_ids import RequestIds
from jobstream.errors import ConfigError, WrongArgs
from jobstream.sql import create_tables, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.testing import MemoryJobs

Heard = list[tuple[str, str, str]]


class RolledBackError(Exception):
    """Ends a transaction."""


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that is not committed."""
    with suppress(RolledBackError), transaction.atomic():
        yield
        raise RolledBackError


LOGGER = PACKAGE if PACKAGE == "django.tasks" else "django_tasks"


def test_signals_of_a_task_that_goes_well(jobs: MemoryJobs, heard: Heard) -> None:
    result = site.noop.enqueue()
    assert heard == [("task_enqueued", result.id, "READY")]
    jobs.run_until_idle()

    assert heard[1:] == [
        ("task_started", result.id, "RUNNING"),
        ("task_finished", result.id, "SUCCESSFUL"),
    ]


def test_a_receiver_reads_what_the_task_returned(jobs: MemoryJobs) -> None:
    values: list[Any] = []

    def hear(**said: Any) -> None:
        values.append(said["task_result"].return_value)

    signals.task_finished.connect(hear)
    site.meaning_of_life.enqueue()
    jobs.run_until_idle()
    signals.task_finished.disconnect(hear)

    assert values == [42]


def test_a_failure_is_told_once_the_last_attempt_is_over(
    jobs: MemoryJobs, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        result = site.fails.enqueue("no luck")
        jobs.run_until_idle()

    assert heard == [
        ("task_enqueued", result.id, "READY"),
        *[("task_started", result.id, "RUNNING")] * 3,
        ("task_finished", result.id, "FAILED"),
    ]
    (logged,) = [each for each in caplog.records if "state=FAILED" in each.getMessage()]
    assert logged.exc_info
    assert str(logged.exc_info[1]) == "builtins.ValueError: no luck"


def test_a_receiver_that_raises_fails_no_task(jobs: MemoryJobs) -> None:
    def hear(**_: Any) -> None:
        raise OSError("a receiver")  # noqa: EM101, TRY003

    for signal in (signals.task_enqueued, signals.task_started, signals.task_finished):
        signal.connect(hear)
    try:
        result = site.noop.enqueue()
        jobs.run_until_idle()
    finally:
        for signal in (signals.task_enqueued, signals.task_started, signals.task_finished):
            signal.disconnect(hear)

    assert len(site.RAN) == 1
    jobs.assert_done(result.id)


def test_by_default_a_task_does_not_wait_for_the_commit(jobs: MemoryJobs) -> None:
    with transaction.atomic():
        result = site.noop.enqueue()
        assert len(jobs.seen(result.id)) == 1


def test_on_commit_a_task_is_sent_after_it(jobs: MemoryJobs, heard: Heard) -> None:
    with transaction.atomic():
        result = site.committed.enqueue("o-1")
        assert jobs.seen() == []
        assert heard == []

    assert heard == [("task_enqueued", result.id, "READY")]
    jobs.run_until_idle()
    assert site.RAN == ["o-1"]
    result.refresh()
    assert result.is_finished


def test_a_rolled_back_transaction_leaves_no_task(jobs: MemoryJobs) -> None:
    with rolled_back():
        result = site.committed.enqueue("o-1")

    assert jobs.seen() == []
    with pytest.raises(exceptions.TaskResultDoesNotExist):
        result.refresh()


def test_without_a_transaction_it_is_sent_at_once(jobs: MemoryJobs) -> None:
    site.committed.enqueue("o-1")
    asyncio.run(site.committed.aenqueue("o-2"))

    assert len(jobs.seen()) == 2


@pytest.fixture
def outbox() -> sa.Engine:
    """The tables of jobstream in the project's database, and who looks there from outside."""
    engine = sa.create_engine(f"sqlite:///{project.DATABASES['default']['NAME']}")
    create_tables(engine)
    return engine


def rows(outbox: sa.Engine) -> list[str]:
    with outbox.connect() as connection:
        return [*connection.scalars(sa.select(metadata.tables["jobstream_outbox"].c.job_id))]


def test_a_task_is_written_into_the_transaction(
    jobs: MemoryJobs, heard: Heard, outbox: sa.Engine
) -> None:
    jobs.broker.freeze()  # no broker is asked
    with transaction.atomic():
        result = site.written.enqueue("o-1")
        assert heard == []

    assert heard == [("task_enqueued", result.id, "READY")]
    assert rows(outbox) == [result.id]
    with rolled_back():
        site.written.enqueue("o-2")
    assert rows(outbox) == [result.id]


def test_without_a_transaction_a_task_of_the_outbox_is_sent_at_once(jobs: MemoryJobs) -> None:
    site.written.enqueue("o-1")
    jobs.run_until_idle()

    assert site.RAN == ["o-1"]


def enqueued_in_request(task: Any) -> list[str]:
    """Two equal tasks of one HTTP request with a key, as its middleware runs the view."""
    with RequestIds("me", "k").in_force(), transaction.atomic():
        return [task.enqueue("o-1").id for _ in range(2)]


@pytest.mark.parametrize("how", ["noop", "committed", "written"])
def test_a_request_that_is_repeated_enqueues_the_same_tasks(
    jobs: MemoryJobs, outbox: sa.Engine, how: str
) -> None:
    task = getattr(site, how)
    before = rows(outbox)
    first, second = enqueued_in_request(task), enqueued_in_request(task)

    assert first == second
    assert len({*first}) == 2
    if how == "written":
        assert rows(outbox) == [*before, *first, *second]
        return
    jobs.run_until_idle()
    assert len(site.RAN) == 2


def test_so_does_one_that_is_awaited(jobs: MemoryJobs) -> None:
    async def repeated() -> str:
        with RequestIds("me", "k").in_force():
            return str((await site.noop.aenqueue("o-1")).id)

    assert asyncio.run(repeated()) == asyncio.run(repeated())
    jobs.run_until_idle()
    assert len(site.RAN) == 1


def test_a_job_is_enqueued_on_commit(jobs: MemoryJobs) -> None:
    with transaction.atomic():
        enqueue_on_commit(note, Note("kept"), idempotency_key="n-1")
        assert jobs.seen() == []
    with rolled_back():
        enqueue_on_commit(note, Note("dropped"))

    jobs.assert_enqueued(note, Note("kept"), count=1)
    assert len(jobs.seen()) == 1


def test_what_can_not_be_enqueued_is_refused_before_the_commit(jobs: MemoryJobs) -> None:
    wrong: Any = Note(5)  # type: ignore[arg-type]
    with transaction.atomic():
        with pytest.raises(WrongArgs, match="text"):
            enqueue_on_commit(note, wrong)
        with pytest.raises(ConfigError, match="no_such_option"):
            enqueue_on_commit(note, Note("x"), no_such_option=1)
        with pytest.raises(ConfigError, match="run_at"):
            enqueue_on_commit(note, Note("x"), run_at=datetime(2030, 1, 1))  # noqa: DTZ001

    assert jobs.seen() == []


def test_a_view_answers_for_an_enqueue_that_fails(jobs: MemoryJobs) -> None:
    assert Client().get("/wrong").status_code == 422
    jobs.broker.freeze()

    answers = [Client().get("/enqueue/a"), asyncio.run(AsyncClient().get("/aenqueue/a"))]

    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_status_of_a_job_is_a_view(jobs: MemoryJobs) -> None:
    told = Client().get("/enqueue/a").json()
    assert Client().get(f"/jobs/{told['id']}").json()["stage"] == "waiting"
    jobs.run_until_idle()

    assert Client().get(f"/jobs/{told['id']}").json()["stage"] == "done"
    assert Client().get("/jobs/no-such").status_code == 404


def tasks_with(**options: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": project.BACKEND, "OPTIONS": options}}


def test_checks_find_nothing_in_a_sound_project() -> None:
    assert [*tasks.task_backends["default"].check()] == []


@pytest.mark.parametrize("path", [None, "", "no_such_module:app", "tests.unit.services:app", 5])
def test_checks_name_an_app_that_is_not_there(path: Any) -> None:
    with override_settings(JOBSTREAM_APP=path, TASKS=tasks_with()):
        (error,) = tasks.task_backends["default"].check()

    assert error.id == "jobstream.E001"
    assert "JOBSTREAM_APP" in error.msg


def test_an_enqueue_without_an_app_says_what_to_set() -> None:
    with (
        override_settings(JOBSTREAM_APP=None, TASKS=tasks_with()),
        pytest.raises(ConfigError, match="the setting JOBSTREAM_APP names no app"),
    ):
        site.noop.enqueue()


def test_an_app_of_options_comes_before_the_setting() -> None:
    with override_settings(JOBSTREAM_APP=None, TASKS=tasks_with(APP=app)):
        assert tasks.task_backends["default"].app is app


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"RETRIES": 3}, "no 'RETRIES'; there are APP"),
        ({"RETRY": {"tries": 3}}, "give a dict with some of attempts"),
        ({"RETRY": 3}, "give a dict with some of attempts"),
        ({"RETRY": {"attempts": 0}}, "attempts=0"),
        ({"TIMEOUT": "soon"}, "TIMEOUT"),
        ({"PRIORITIES": "yes"}, "give True or False"),
        ({"OUTBOX": 1, "ENQUEUE_ON_COMMIT": True}, "give True or False"),
        ({"OUTBOX": True}, "set ENQUEUE_ON_COMMIT, too"),
        ({"ENQUEUE_ON_COMMIT": 5}, "give True, False or a database"),
    ],
)
def test_options_that_can_not_be_meant_are_refused(options: dict[str, Any], told: str) -> None:
    with (
        override_settings(TASKS=tasks_with(**options)),
        pytest.raises(ImproperlyConfigured) as raised,
    ):
        _ = tasks.task_backends["default"]

    assert told in str(raised.value)


def test_a_backend_that_names_no_queue_is_refused() -> None:
    changed = {"default": {"BACKEND": project.BACKEND, "QUEUES": []}}
    with override_settings(TASKS=changed):
        (error,) = tasks.task_backends["default"].check()

        assert "QUEUES" in error.msg
        with pytest.raises(exceptions.TaskException, match="QUEUES"):
            site.noop.enqueue()


def test_checks_warn_of_an_app_that_is_not_installed() -> None:
    with override_settings(INSTALLED_APPS=[]):
        assert "jobstream.W003" in [e.id for e in tasks.task_backends["default"].check()]
