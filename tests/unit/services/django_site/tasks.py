"""Tasks that go well, fail, or ask about themselves; what they do is in `RAN`."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from jobstream.django.tasks_api import tasks

task = tasks.task
RAN: list[Any] = []


@task()
def noop(*args: Any, **kwargs: Any) -> None:
    """Tell what it was given."""
    RAN.append((list(args), kwargs))


@task()
async def noop_async(*args: Any, **kwargs: Any) -> None:
    """The same, as a coroutine."""
    RAN.append((list(args), kwargs))


@task()
def meaning_of_life() -> int:
    """Return something."""
    return 42


@task()
def unusual_value() -> object:
    """Return what is no JSON."""
    return object()


@task()
def fails(message: str) -> None:
    """Fail each time."""
    raise ValueError(message)


@task()
async def fails_async(message: str) -> None:
    """The same, as a coroutine."""
    raise ValueError(message)


@task(takes_context=True)
def fails_twice(context: Any) -> None:
    """Go well at the third attempt."""
    RAN.append(context.attempt)
    if context.attempt < 3:
        message = f"attempt {context.attempt}"
        raise OSError(message)


@task(takes_context=True)
def with_context(context: Any, given: int) -> None:
    """Ask what it may know of itself."""
    result = context.task_result
    RAN.append((result.id, result.status, result.attempts, result.args, given))


@task(queue_name="mail", priority=7)
def mail() -> None:
    """On another queue, and before others."""
    RAN.append("mail")


@task(backend="committed")
def committed(order: str) -> None:
    """Sent after the commit."""
    RAN.append(order)


@task(backend="written")
def written(order: str) -> None:
    """Written into the transaction."""
    RAN.append(order)


@task()
async def asks_the_database() -> None:
    """Use the database from a coroutine."""
    RAN.append(await sync_to_async(_one)())


def _one() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        return cursor.fetchone()[0]


@task()
def breaks_the_connection() -> None:
    """Query, and leave the connection broken, as a database that goes away."""
    _one()
    connection.connection.close()
