"""Enqueue a job once the transaction of a view is committed, and not if it is rolled back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import transaction

if TYPE_CHECKING:
    from jobstream.job import Job

Args = TypeVar("Args")


def enqueue_on_commit(
    job: Job[Args, Any],
    args: Args,
    *,
    using: str | None = None,
    robust: bool = False,
    **options: Any,  # noqa: ANN401 - those of Job.enqueue
) -> None:
    """Call `job.enqueue(args, **options)` after the commit, or at once if no transaction is open.

    `using` names the database; `robust` is Django's: errors of the enqueue are logged, not raised.
    Otherwise they are raised out of the `atomic` block, whose rows are committed by then. A process
    that dies between the commit and the enqueue leaves no job: where that must not be, see the
    outbox of `jobstream.sql`. Raises WrongArgs, JobTooLarge and ConfigError at once, before the
    commit.
    """
    job.check(args, **options)
    transaction.on_commit(partial(job.enqueue, args, **options), using=using, robust=robust)
