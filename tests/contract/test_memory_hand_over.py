"""What one worker was not through with, and the next one does about it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from jobstream import App
from jobstream.testing import MemoryJobs, memory
from jobstream.testing.errors import NotIdle
from jobstream_schemas import decode_row


@dataclass(frozen=True)
class Work:
    n: int


def test_a_done_job_whose_row_no_broker_acknowledged_has_no_second_start() -> None:
    # Given a job that ends while its row can't be written
    app = App("gap", drain="0s")
    starts: list[int] = []

    @app.job(queue=app.queue("q", partitions=1))
    async def once(args: Work) -> None:
        starts.append(args.n)

    with memory(app) as jobs:
        jobs.run_for("1s")
        jobs.broker.fail_publishes(lambda record: record.topic == "gap.q.dedup", fate="absent")
        once.enqueue(Work(1))
        while not starts:  # A busy machine may not come to it the first time.
            with pytest.raises(NotIdle):
                jobs.run_until_idle(timeout_s=0.3)
        assert starts == [1]

        # When its worker leaves, and another one takes its place
        jobs.restart()
        jobs.broker.heal()
        jobs.run_until_idle()

        # Then the next one writes the row, and starts nothing
        jobs.assert_done(once)
        assert starts == [1]


def test_a_run_of_an_earlier_assignment_is_handed_over_too() -> None:
    # Given a thread that goes on although its worker has lost the partition and got it back
    app = App("stays", drain="0s")
    starts: list[int] = []
    end = threading.Event()

    @app.job(queue=app.queue("q", partitions=1), timeout="30s")
    def stays(args: Work) -> None:
        starts.append(args.n)
        end.wait()

    with memory(app) as jobs:
        stays.enqueue(Work(1))
        while not starts:
            run_beside(jobs)
        (member,) = jobs.broker.owners("stays").values()
        jobs.broker.expire(member)
        while claims(jobs) < 2:  # Nor does it hear of its loss at once.
            run_beside(jobs)

        # When that worker leaves, and another one takes its place
        jobs.restart()
        jobs.run_for("5s")

        # Then the job starts again once the run may no longer go on
        assert starts == [1]
        end.set()
        jobs.run_for("31s")
        assert starts == [1, 1]


def claims(jobs: MemoryJobs) -> int:
    """How often the partition was taken over."""
    rows = jobs.broker.records("stays.q.dedup")
    return sum((row.key() or b"").startswith(b"claim") for row in rows)


def run_beside(jobs: MemoryJobs) -> None:
    """Let the worker do what it can while a handler holds a thread."""
    with pytest.raises(NotIdle):
        jobs.run_for("1s", timeout_s=0.3)


def test_a_worker_that_lost_its_session_and_lives_suspects_none_of_its_jobs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("lives")
    ran: list[int] = []

    @app.job(queue=app.queue("q", partitions=2))
    async def runs(args: Work) -> None:
        ran.append(args.n)

    with memory(app) as jobs:
        for n in range(3):
            runs.enqueue(Work(n))
            jobs.run_until_idle()
            for member in set(jobs.broker.owners("lives").values()):
                jobs.broker.expire(member)

    assert ran == [0, 1, 2]
    assert "partitions_lost" in caplog.messages
    assert "takeover_unclean" not in caplog.messages


def test_rows_that_are_on_their_way_when_a_session_ends_come_before_the_next_claim() -> None:
    # Given a job that has ended, and a row of it that no broker answers
    app = App("adrift")
    ran: list[int] = []

    @app.job(queue=app.queue("q", partitions=1))
    async def runs(args: Work) -> None:
        ran.append(args.n)

    with memory(app) as jobs:
        jobs.run_until_idle()
        jobs.broker.hold_publishes(lambda r: r.topic == "adrift.q.dedup" and is_done(r.value))
        runs.enqueue(Work(1))
        jobs.run_for("1s")
        assert ran == [1]

        # When its worker loses the partition, and gets it back
        (member,) = set(jobs.broker.owners("adrift").values())
        jobs.broker.expire(member)
        jobs.run_for("5s")

        # Then it claims once the row is in the log, and starts nothing again
        assert ran == [1]
        jobs.broker.heal()
        jobs.run_until_idle()
        assert ran == [1]
        jobs.assert_done(runs)


def is_done(value: bytes | None) -> bool:
    return value is not None and decode_row(value).kind == "job"
