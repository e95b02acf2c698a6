"""The backend of Django's Tasks that enqueues them as jobs: BACKEND in TASKS."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import uuid_utils
from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.utils import timezone

from jobstream.answers.errors import NoSuch
from jobstream.django.project_app import kept_jobs, project_app
from jobstream.django.system_checks import problems_of
from jobstream.django.task_queues import declare_all, job_of
from jobstream.django.task_results import JobResult, overriding, result_of
from jobstream.django.task_run import TaskCall
from jobstream.django.tasks_api import (
    InvalidBackend,
    InvalidTask,
    backends,
    base,
    exceptions,
    signals,
)
from jobstream.django.tasks_options import options_of
from jobstream.enqueue.composing import REQUEST, When
from jobstream.errors import ConfigError
from jobstream_processors.background import aside
from jobstream_processors.core.identity import from_caller

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jobstream.app import App
    from jobstream.services.job_status import JobLookup


class TasksBackend(backends.BaseTaskBackend):  # type: ignore[misc] # Django has no types
    """Enqueues each task as a job of the App that JOBSTREAM_APP, or OPTIONS["APP"], names.

    Django makes one in each thread; all share the App and its client. It connects at the first
    enqueue. Raises InvalidTaskBackend for OPTIONS that can't be meant.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True
    result_class = JobResult

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        try:
            self.given = options_of(alias, params)
        except ConfigError as error:
            raise InvalidBackend(str(error)) from error
        self.supports_priority = self.given.has_priorities
        self._declared_on: App | None = None

    @property
    def app(self) -> App:
        """The App, with the job types of this backend; raises ConfigError where none is named."""
        found = project_app(self.given.app, self.alias)
        if found is not self._declared_on:
            declare_all(found, self.alias, self.queues, self.given)
            self._declared_on = found
        return found

    def validate_task(self, task: Any) -> None:  # noqa: ANN401 - a Task
        """As Django does; refuses any queue where QUEUES names none: each queue has topics."""
        super().validate_task(task)
        if not self.queues:
            message = f"TASKS[{self.alias!r}]['QUEUES'] is empty: name each queue, it has topics"
            raise InvalidTask(message)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> JobResult:  # noqa: ANN401 - Django's own
        """Send the task; blocks until it is in the log, 5 s at most.

        With ENQUEUE_ON_COMMIT and an open transaction it is sent after the commit, and never where
        that is rolled back; with OUTBOX, too, it is written into the transaction. Raises what
        `Job.enqueue` raises, TypeError for args that are no JSON, and SynchronousOnlyOperation in a
        running event loop.
        """
        _refuse_in_loop()
        result = self._ready(task, args, kwargs)
        using = self.given.on_commit
        waits = using is not None and transaction.get_connection(using).in_atomic_block
        if using is not None and waits and self.given.has_outbox:
            self._write(result, using)
            return result
        with self._in_request(result):
            if waits:
                transaction.on_commit(partial(self._send, result), using=using)
            else:
                self._send(result)
        return result

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> JobResult:  # noqa: ANN401 - as above
        """The same without blocking the event loop."""
        if self.given.on_commit is not None:
            # A transaction belongs to the thread in which Django runs what is no coroutine.
            return await sync_to_async(self.enqueue, thread_sensitive=True)(task, args, kwargs)
        result = self._ready(task, args, kwargs)
        job = job_of(self.app, self.alias, task, self.given)
        with self._in_request(result):
            await self.app.client.aenqueue(job.kind, _call(result), _when(result), result.id)
        await signals.task_enqueued.asend_robust(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> JobResult:
        """How the task stands; reads the database of views, or the log, which may take seconds.

        Raises TaskResultDoesNotExist, and SourceAway or TooBusy of `jobstream.answers.errors`.
        """
        lookup: JobLookup = overriding() or kept_jobs(self.app, self.given.database)
        try:
            found = lookup.found(str(result_id))
        except NoSuch as error:
            raise exceptions.TaskResultDoesNotExist(str(result_id)) from error
        return result_of(found, self.alias)

    async def aget_result(self, result_id: str) -> JobResult:
        """The same without blocking the event loop."""
        return await aside("jobstream-service-look", self.get_result, result_id)

    def check(self, **kwargs: Any) -> Iterable[Any]:  # noqa: ANN401 - Django's signature
        """The system checks of Django; they load the App and connect to nothing."""
        yield from super().check(**kwargs) or []
        yield from problems_of(self)

    def _ready(self, task: Any, args: Any, kwargs: Any) -> JobResult:  # noqa: ANN401 - Django's own
        self.validate_task(task)
        return self.result_class(
            task=task,
            id=str(uuid_utils.uuid7()),
            status=base.TaskResultStatus.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

    @contextmanager
    def _in_request(self, result: JobResult) -> Iterator[None]:
        """In an HTTP request with a key the task's id is made from that, as for any job."""
        if (request := REQUEST.get()) is None:
            yield
            return
        kind = job_of(self.app, self.alias, result.task, self.given).kind
        with request.sending() as key_for:
            key = key_for(kind, _call(result), _when(result)).idempotency_key
            if key is not None:
                object.__setattr__(result, "id", from_caller(kind.first_name, key))
            yield

    def _send(self, result: JobResult) -> None:
        job = job_of(self.app, self.alias, result.task, self.given)
        self.app.client.enqueue(job.kind, _call(result), _when(result), result.id)
        self._tell(result)

    def _write(self, result: JobResult, using: str) -> None:
        """Into the open transaction; the relay sends it after the commit."""
        from jobstream.sql import enqueue_in  # noqa: PLC0415 - needs an extra

        job = job_of(self.app, self.alias, result.task, self.given)
        written = enqueue_in(using, job, _call(result), run_at=_when(result).run_at)
        object.__setattr__(result, "id", written.job_id)
        transaction.on_commit(partial(self._tell, result), using=using)

    def _tell(self, result: JobResult) -> None:
        signals.task_enqueued.send_robust(type(self), task_result=result)


def _call(result: JobResult) -> TaskCall:
    task, at = result.task, result.task.run_after
    return TaskCall(
        task=task.module_path,
        args=json.dumps(result.args),
        kwargs=json.dumps(result.kwargs),
        backend=task.backend,
        queue=task.queue_name,
        priority=int(task.priority),
        run_after="" if at is None else at.isoformat(),
    )


def _when(result: JobResult) -> When:
    at = result.task.run_after
    if at is not None and timezone.is_naive(at):
        at = timezone.make_aware(at)
    return When(run_at=at)


def _refuse_in_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    message = "this would block the running event loop, so nothing was sent: await task.aenqueue()"
    raise SynchronousOnlyOperation(message)
