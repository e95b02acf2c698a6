"""What Django asks of a backend of Tasks, asked of ours."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.utils import timezone
from tests.unit.services.django_site import tasks as site
from tests.unit.services.django_site.jobs import app

from jobstream.django import TasksBackend
from jobstream.django.tasks_api import InvalidTask, base, exceptions, tasks
from jobstream.errors import EnqueueError

if TYPE_CHECKING:
    from jobstream.testing import MemoryJobs

Status = base.TaskResultStatus
backend: Any = tasks.default_task_backend


def test_it_is_the_backend_that_settings_name() -> None:
    assert isinstance(tasks.task_backends["default"], TasksBackend)
    assert (backend.alias, backend.queues) == ("default", {"default", "mail"})


def test_it_supports_what_django_knows() -> None:
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority


@pytest.mark.parametrize("task", [site.noop, site.noop_async], ids=["function", "coroutine"])
def test_an_enqueued_task_is_ready_and_then_runs(jobs: MemoryJobs, task: Any) -> None:
    result = task.enqueue(1, two=3)

    assert result.status == Status.READY
    assert not result.is_finished
    assert (result.started_at, result.finished_at, result.last_attempted_at) == (None, None, None)
    assert timezone.is_aware(result.enqueued_at)
    assert (result.task, result.args, result.kwargs) == (task, [1], {"two": 3})
    assert (result.attempts, result.errors, result.backend) == (0, [], "default")
    with pytest.raises(ValueError, match="has not finished"):
        _ = result.return_value
    jobs.run_until_idle()
    assert site.RAN == [([1], {"two": 3})]
    result.refresh()
    assert result.status == Status.SUCCESSFUL
    assert result.is_finished
    assert result.attempts == 1
    assert result.finished_at >= result.enqueued_at


@pytest.mark.parametrize("task", [site.noop, site.noop_async], ids=["function", "coroutine"])
def test_the_same_from_a_coroutine(jobs: MemoryJobs, task: Any) -> None:
    async def enqueue() -> Any:
        result = await task.aenqueue("a", b="c")
        await result.arefresh()
        assert result.status == Status.READY
        return await task.aget_result(result.id)

    result = asyncio.run(enqueue())
    assert (result.args, result.kwargs, result.attempts) == (["a"], {"b": "c"}, 0)
    jobs.run_until_idle()
    assert site.RAN == [(["a"], {"b": "c"})]


def test_a_result_is_found_by_its_id(jobs: MemoryJobs) -> None:
    result = site.noop.enqueue(1)

    found = backend.get_result(result.id)

    assert (found.id, found.task, found.args, found.status) == (
        result.id, site.noop, [1], Status.READY
    )  # fmt: skip
    assert site.noop.get_result(result.id).id == result.id
    with pytest.raises(exceptions.TaskResultMismatch):
        site.meaning_of_life.get_result(result.id)
    assert len(jobs.seen()) == 1


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("wanted", ["no-such", "00000000-0000-0000-0000-000000000000", 123])
def test_a_result_that_is_not_there(wanted: Any) -> None:
    with pytest.raises(exceptions.TaskResultDoesNotExist):
        backend.get_result(wanted)
    with pytest.raises(exceptions.TaskResultDoesNotExist):
        asyncio.run(backend.aget_result(wanted))


@pytest.mark.usefixtures("jobs")
def test_a_job_that_is_no_task_has_no_result() -> None:
    job = app.jobs["note"].enqueue(site_note("hello"))

    with pytest.raises(exceptions.TaskResultDoesNotExist, match="is no task of backend"):
        backend.get_result(job.job_id)


def site_note(text: str) -> Any:
    from tests.unit.services.django_site.jobs import Note  # noqa: PLC0415 - of this test alone

    return Note(text)


@pytest.mark.usefixtures("jobs")
def test_a_result_of_another_backend_is_not_this_ones() -> None:
    result = site.committed.enqueue("o-1")

    with pytest.raises(exceptions.TaskResultDoesNotExist):
        backend.get_result(result.id)
    assert tasks.task_backends["committed"].get_result(result.id).id == result.id


@pytest.mark.parametrize("task", [site.fails, site.fails_async], ids=["function", "coroutine"])
def test_a_task_that_fails_is_ready_again_until_its_attempts_are_used_up(
    jobs: MemoryJobs, task: Any
) -> None:
    result = task.enqueue("no luck")

    jobs.run_for("500ms")
    result.refresh()
    assert (result.status, result.attempts) == (Status.READY, 1)
    jobs.run_until_idle()
    result.refresh()

    assert (result.status, result.is_finished) == (Status.FAILED, True)
    assert result.attempts == 3
    assert result.finished_at >= result.enqueued_at
    assert result.last_attempted_at is not None
    assert result.errors[-1].exception_class is ValueError
    assert result.errors[-1].traceback.rstrip().endswith("ValueError: no luck")
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


def test_a_task_knows_its_attempt(jobs: MemoryJobs) -> None:
    result = site.fails_twice.enqueue()

    jobs.run_until_idle()

    result.refresh()
    assert site.RAN == [1, 2, 3]
    assert (result.status, result.attempts) == (Status.SUCCESSFUL, 3)


def test_a_task_that_takes_its_context(jobs: MemoryJobs) -> None:
    result = site.with_context.enqueue(9)

    jobs.run_until_idle()

    assert [(result.id, Status.RUNNING, 1, [9], 9)] == site.RAN


def test_return_values_are_not_kept_and_the_error_says_so(jobs: MemoryJobs) -> None:
    result = site.meaning_of_life.enqueue()
    jobs.run_until_idle()
    result.refresh()

    with pytest.raises(ValueError, match="keeps no return values"):
        _ = result.return_value
    assert result.status == Status.SUCCESSFUL


def test_a_value_that_is_no_json_fails_no_task(jobs: MemoryJobs) -> None:
    result = site.unusual_value.enqueue()
    jobs.run_until_idle()

    assert backend.get_result(result.id).status == Status.SUCCESSFUL


@pytest.mark.parametrize("given", [object(), {1, 2}, b"\xff", datetime(2026, 1, 1)])  # noqa: DTZ001
def test_args_that_are_no_json_are_refused_as_django_does(jobs: MemoryJobs, given: Any) -> None:
    enqueues: list[Any] = [
        lambda: site.noop.enqueue(given),
        lambda: site.noop.enqueue(named=given),
        lambda: asyncio.run(site.noop.aenqueue(given)),
    ]
    for enqueue in enqueues:
        with pytest.raises((TypeError, ValueError)):
            enqueue()
    assert jobs.seen() == []


def test_args_become_what_json_has(jobs: MemoryJobs) -> None:
    result = site.noop.enqueue((1, 2), {"a": b"text"})

    assert result.args == [[1, 2], {"a": "text"}]
    jobs.run_until_idle()
    assert site.RAN == [([[1, 2], {"a": "text"}], {})]


def test_run_after_is_kept_and_waited_for(jobs: MemoryJobs) -> None:
    at = timezone.now() + timedelta(hours=3)
    result = site.noop.using(run_after=at).enqueue()

    jobs.run_for("2h")
    assert site.RAN == []
    found = backend.get_result(result.id)
    assert (found.status, found.task.run_after) == (Status.READY, at)
    jobs.run_for("70m")
    assert site.RAN == [([], {})]


def test_a_naive_run_after_is_refused() -> None:
    with pytest.raises(InvalidTask, match="aware"):
        site.noop.using(run_after=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    ("priority", "queue"), [(0, "default"), (1, "default-high"), (-1, "default-low")]
)
def test_priorities_are_queues_with_shares(jobs: MemoryJobs, priority: int, queue: str) -> None:
    result = site.noop.using(priority=priority).enqueue()

    assert [job.queue for job in jobs.seen(result.id)] == [queue]
    assert backend.get_result(result.id).task.priority == priority
    weights = [app.queues[name].weight for name in ("default-low", "default-high")]
    assert weights == [1, 16]


@pytest.mark.parametrize("priority", [101, -101, 1.5])
def test_a_priority_out_of_range_is_refused(priority: Any) -> None:
    with pytest.raises(InvalidTask, match="priority"):
        site.noop.using(priority=priority)


def test_a_backend_without_priorities_refuses_them() -> None:
    with pytest.raises(InvalidTask, match="priority"):
        site.committed.using(priority=5)


def test_a_task_of_another_queue(jobs: MemoryJobs) -> None:
    result = site.mail.enqueue()

    (job,) = jobs.seen(result.id)
    assert (job.queue, job.name) == ("mail-high", "django.default.mail.high")
    jobs.run_until_idle()
    assert site.RAN == ["mail"]


def test_a_queue_that_settings_do_not_name_is_refused() -> None:
    with pytest.raises(InvalidTask, match="unknown"):
        site.noop.using(queue_name="unknown")


def test_a_function_inside_a_function_is_no_task() -> None:
    def inner() -> None:
        """Of no module."""

    with pytest.raises(InvalidTask, match="module level"):
        tasks.task()(inner)


def test_a_coroutine_that_would_block_the_loop_is_refused(jobs: MemoryJobs) -> None:
    async def enqueue() -> None:
        site.noop.enqueue(1)

    with pytest.raises(SynchronousOnlyOperation, match="aenqueue"):
        asyncio.run(enqueue())
    assert jobs.seen() == []


def test_without_a_broker_the_enqueue_raises(jobs: MemoryJobs) -> None:
    jobs.broker.freeze()

    with pytest.raises(EnqueueError):
        site.noop.enqueue(1)


def test_a_task_that_this_code_lacks_is_retried_for_a_deploy(
    jobs: MemoryJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = site.noop.enqueue("new")
    kept = site.noop
    monkeypatch.delattr(site, "noop")
    jobs.run_for("500ms")
    assert site.RAN == []
    with pytest.raises(exceptions.TaskResultDoesNotExist, match="no task"):
        backend.get_result(result.id)

    monkeypatch.setattr(site, "noop", kept, raising=False)  # The deploy has reached this worker.
    jobs.run_until_idle()

    assert site.RAN == [(["new"], {})]


def test_only_tasks_are_called(jobs: MemoryJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    result = site.noop.enqueue()
    monkeypatch.setattr(site, "noop", lambda: site.RAN.append("called"))

    jobs.run_until_idle()

    assert site.RAN == []
    (job,) = jobs.assert_dead(result.id)
    assert "is no task" in job.message


def test_jobs_go_on_after_the_database_dropped_a_connection(jobs: MemoryJobs) -> None:
    for task in (site.breaks_the_connection, site.asks_the_database, site.breaks_the_connection):
        task.enqueue()
        jobs.run_until_idle()

    assert [job.state for job in jobs.seen()] == ["done"] * 3
