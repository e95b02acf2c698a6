"""Hooks of jobs that died for good, with the worker's own parts in memory."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobstream import App, Backoff, ConfigError, Dead, Failure
from jobstream.testing import memory


@dataclass(frozen=True)
class Mail:
    to: str


def test_hooks_hear_of_deaths_by_app_and_by_type(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    told: list[tuple[str, str]] = []

    @app.job(retry=Backoff(attempts=2, first="1s"))
    async def send(args: Mail) -> None:
        message = f"no address of {args.to}"
        raise LookupError(message)

    @app.job
    async def refuse(args: Mail) -> None:
        raise Dead(args.to)

    @app.job
    async def works(args: Mail) -> None: ...

    failures: list[Failure] = []

    @app.on_dead
    def breaks(failure: Failure) -> None:
        told.append(("breaks", failure.job))
        message = "a hook's own bug"
        raise RuntimeError(message)

    app.on_dead(failures.append)

    @app.on_dead(job=send)
    def sent(failure: Failure) -> None:
        told.append(("sent", failure.job))

    with memory(app) as jobs:
        works.enqueue(Mail("bob"))
        first = send.enqueue(Mail("ann")).job_id
        second = refuse.enqueue(Mail("eve")).job_id
        jobs.run_until_idle()
        ends = {job.id: job.state for job in jobs.seen()}

    assert {ends[first], ends[second]} == {"dead"}
    assert sorted(told) == [("breaks", "refuse"), ("breaks", "send"), ("sent", "send")]
    by_job = {failure.job: failure for failure in failures}
    died = by_job["send"]
    assert (died.job_id, died.decision, died.reason) == (first, "dead", "attempts_exhausted")
    assert (died.error, died.message) == ("builtins.LookupError", "no address of ann")
    assert "in send" in died.traceback
    assert died.exception is None
    assert (by_job["refuse"].reason, by_job["refuse"].message) == ("dead_by_handler", "eve")
    assert "on_failure_raised" in caplog.text


def test_a_hook_that_could_never_be_called_is_refused() -> None:
    app = App("shop")

    async def later(_: Failure) -> None:
        """Nobody would await it."""

    with pytest.raises(ConfigError, match="plain function"):
        app.on_dead(later)
    with pytest.raises(ConfigError, match="no such job type"):
        app.on_dead(job="send")(print)
