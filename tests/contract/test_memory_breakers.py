"""Circuit breakers through a whole worker in memory: jobs wait, lose no attempt, and are tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App, Backoff, Breaker, ConfigError, Context, Dead, RetryAfter, Snooze
from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.enqueue.enqueued import Enqueued
    from jobstream.testing import MemoryJobs

SMTP = Breaker("smtp", ratio=0.5, window="1m", least=4, open="30s", open_max="2m", probes=2)
SOON = Backoff(attempts=3, first="1s", factor=1, cap="1s", jitter=False)


@dataclass(frozen=True)
class Mail:
    to: str


class Post:
    """An app whose mail provider can be down, and what its handlers did."""

    def __init__(self, retry: Backoff = SOON) -> None:
        self.app = App("shop", size="small")
        self.raises: Callable[[], BaseException] | None = None
        self.began: list[tuple[str, int]] = []
        """Whom each run wrote to, and which attempt it was."""
        mail = self.app.queue("mail", partitions=2)

        @self.app.job(queue=mail, breaker=SMTP, retry=retry)
        async def send(mail: Mail, ctx: Context) -> None:
            self.began.append((mail.to, ctx.attempt))
            if self.raises is not None:
                raise self.raises()

        @self.app.job(queue=mail, breaker="smtp")
        async def remind(mail: Mail) -> None:
            self.began.append((f"remind {mail.to}", 1))

        @self.app.job(queue=mail)
        async def note(mail: Mail) -> None:
            self.began.append((f"note {mail.to}", 1))

        self.send, self.remind, self.note = send, remind, note

    def down(self, raised: Callable[[], BaseException] = OSError) -> None:
        """Every run raises this from now on."""
        self.raises = raised

    def take(self) -> list[str]:
        """Whom was written to since the last call."""
        found, self.began = [to for to, _ in self.began], []
        return found


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def jobs(post: Post) -> Iterator[MemoryJobs]:
    with memory(post.app) as bound:
        yield bound


def trip(post: Post, jobs: MemoryJobs) -> list[Enqueued]:
    """Let four runs fail; they are to be retried."""
    post.down()
    failed = [post.send.enqueue(Mail(f"first{number}")) for number in range(4)]
    jobs.run_for("500ms")
    assert len(post.take()) == 4
    return failed


def test_an_open_breaker_keeps_its_types_and_no_others(post: Post, jobs: MemoryJobs) -> None:
    trip(post, jobs)

    kept = post.send.enqueue(Mail("ann"))
    post.remind.enqueue(Mail("bob"))
    post.note.enqueue(Mail("cy"))
    jobs.run_for("29s")

    assert post.take() == ["note cy"]
    assert jobs.seen(kept)[0].state == "waiting"


def test_what_waited_lost_no_attempt_and_runs_once_probes_succeed(
    post: Post, jobs: MemoryJobs
) -> None:
    failed = trip(post, jobs)
    rest = [post.send.enqueue(Mail(f"ann{number}")) for number in range(20)]
    jobs.run_for("20s")
    assert post.take() == []

    post.raises = None
    jobs.run_until_idle()

    attempts = dict(post.began)
    assert len(post.began) == 24
    assert {attempts[f"ann{number}"] for number in range(20)} == {1}
    assert {attempts[f"first{number}"] for number in range(4)} == {2}
    for job in (*failed, *rest):
        jobs.assert_done(job)


@pytest.mark.parametrize("in_thread", [False, True])
def test_what_stands_in_line_for_a_slot_does_not_begin(*, in_thread: bool) -> None:
    app = App("shop", size="small", concurrency=2)
    began: list[str] = []
    up: list[bool] = []

    def fail(mail: Mail) -> None:
        began.append(mail.to)
        if not up:
            raise OSError

    async def fails(mail: Mail) -> None:
        fail(mail)

    work = app.job(breaker=SMTP, retry=SOON, name="work")(fail if in_thread else fails)
    with memory(app) as jobs:
        sent = work.enqueue_many([Mail(f"job{number}") for number in range(40)])
        jobs.run_for("500ms")

        assert SMTP.least <= len(began) <= SMTP.least + 2, "all were read before one had failed"
        up.append(True)
        jobs.run_until_idle()
        assert {job.state for job in jobs.seen()} == {"done"}
        assert sum(job.attempt for job in jobs.seen()) == len(began), "only runs use attempts"
        assert len(jobs.seen()) == len(sent)


def test_only_probes_run_when_its_time_is_over_and_a_failed_one_opens_it_for_longer(
    post: Post, jobs: MemoryJobs
) -> None:
    trip(post, jobs)
    for number in range(30):
        post.send.enqueue(Mail(f"ann{number}"))

    jobs.run_for("45s")  # The open time, and half of it, over which jobs come back
    assert 1 <= len(post.take()) <= SMTP.probes
    jobs.run_for("40s")
    assert post.take() == [], "it is open for a minute by now"
    jobs.run_for("60s")
    assert 1 <= len(post.take()) <= SMTP.probes


def test_a_dependency_that_stays_away_costs_few_runs() -> None:
    post = Post(Backoff(attempts=30, first="1s", cap="1s", factor=1))
    with memory(post.app) as jobs:
        trip(post, jobs)
        for number in range(20):
            post.send.enqueue(Mail(f"ann{number}"))

        jobs.run_for("15m")

        # Open for 30 s, a minute, then two at a time: some eight times two probes.
        assert len(post.began) <= 16
        assert all(job.state == "waiting" for job in jobs.seen(post.send))


WORDS = {
    "a permanent failure": lambda: KeyError("no"),
    "dead": lambda: Dead("no"),
    "snooze": lambda: Snooze("1h"),
    "retry after": lambda: RetryAfter("1h"),
}


@pytest.mark.parametrize("raised", WORDS.values(), ids=WORDS.keys())
def test_what_is_the_jobs_own_or_wanted_opens_nothing(
    raised: Callable[[], BaseException],
) -> None:
    post = Post(Backoff(dead_on=(KeyError,)))
    with memory(post.app) as jobs:
        post.down(raised)
        for number in range(20):
            post.send.enqueue(Mail(f"ann{number}"))
        jobs.run_for("1s")

        assert len(post.take()) == 20


def test_jobs_of_one_key_wait_in_place_and_stay_in_order(post: Post, jobs: MemoryJobs) -> None:
    trip(post, jobs)
    for number in range(5):
        post.send.enqueue(Mail(f"ann{number}"), key="ann")
    jobs.run_for("10s")
    assert post.take() == []

    post.raises = None
    jobs.run_until_idle()

    assert [to for to, _ in post.began if to.startswith("ann")] == [f"ann{n}" for n in range(5)]


def test_a_worker_that_comes_hears_of_the_opening_and_fails_no_job_for_it(
    post: Post, jobs: MemoryJobs
) -> None:
    trip(post, jobs)

    jobs.restart()
    post.send.enqueue(Mail("ann"))
    jobs.run_for("20s")

    assert post.take() == []
    (entry,) = post.app.control.entries()
    assert (entry.kind, entry.subject) == ("breaker_opened", "smtp")
    assert entry.why == "4 of 4 runs failed within 1m"


def test_workers_share_what_one_of_them_found() -> None:
    first, second = Post(), Post()
    with memory(first.app) as jobs, memory(second.app, jobs.broker) as others:
        # Given two workers with a partition each, and what fails in one of them
        for _ in range(3):
            jobs.run_for("100ms")
            others.run_for("100ms")
        first.down()
        while len(first.began) < SMTP.least:
            first.send.enqueue(Mail("ann"))
            jobs.run_for("100ms")

        # When the other has jobs of the type, too
        others.run_for("100ms")
        second.take()
        for number in range(20):
            second.send.enqueue(Mail(f"bob{number}"))
        others.run_for("10s")

        # Then it begins none: it need not fail first
        assert second.take() == []
        assert len(others.seen(second.send)) > 20


# -- operators


def test_an_operator_holds_it_open_over_a_deploy_and_then_it_is_tried(
    post: Post, jobs: MemoryJobs
) -> None:
    entry = post.app.control.breaker("smtp").open(why="provider moves", for_="10m", who="ann")
    assert (entry.kind, entry.who, entry.why) == ("hold_breaker", "ann", "provider moves")
    for number in range(5):
        post.send.enqueue(Mail(f"ann{number}"))
    jobs.run_for("5m")
    jobs.restart()
    jobs.run_for("4m")
    assert post.take() == []

    jobs.run_for("5m")

    assert sorted(post.take()) == [f"ann{number}" for number in range(5)]


def test_an_operator_holds_it_closed_however_many_fail(post: Post, jobs: MemoryJobs) -> None:
    trip(post, jobs)
    post.app.control.breaker("smtp").close(why="we know better")

    for number in range(10):
        post.send.enqueue(Mail(f"ann{number}"))
    jobs.run_for("100ms")

    assert len([to for to in post.take() if to.startswith("ann")]) == 10


def test_a_released_breaker_is_closed_and_counts_again(post: Post, jobs: MemoryJobs) -> None:
    held = post.app.control.breaker("smtp")
    held.open()
    jobs.run_for("1s")
    held.release()
    jobs.run_for("1s")

    trip(post, jobs)
    post.send.enqueue(Mail("ann"))
    jobs.run_for("10s")

    assert post.take() == []


def test_a_breaker_that_no_type_names_is_refused(post: Post) -> None:
    with pytest.raises(ConfigError, match="no breaker 'ftp'; declared are smtp"):
        post.app.control.breaker("ftp")


def test_an_opening_that_cannot_be_told_is_a_warning(
    post: Post, jobs: MemoryJobs, caplog: pytest.LogCaptureFixture
) -> None:
    jobs.broker.fail_publishes(lambda record: record.topic == "shop.control")

    trip(post, jobs)
    post.send.enqueue(Mail("ann"))
    jobs.run_for("10s")

    assert post.take() == []
    assert "breaker_news_unsent" in caplog.messages
