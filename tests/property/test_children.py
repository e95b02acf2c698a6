"""Children of one run: as many as were acknowledged, whatever failed, with the same ids."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream import App, ConfigError, EnqueueTimeout, Job
from jobstream.testing import MemoryJobs, memory
from jobstream_processors.context import Context, RunFacts
from jobstream_processors.core.identity import from_parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PARENT = "0190b8e4-9d5c-7000-8000-00000000abcd"
FACTS = RunFacts(
    job_id=PARENT,
    name="order",
    queue="default",
    redrive=0,
    seq=0,
    attempt=1,
    enqueued_ms=0,
    deadline_ms=0,
    fencing_token=0,
    correlation_id=None,
    source=("shop.default", 0, 0),
)


@dataclass(frozen=True)
class Mail:
    to: str


class Family:
    """One run of a parent, over a broker in memory that fails as told."""

    def __init__(self, mail: Job[Mail, Any], jobs: MemoryJobs) -> None:
        self.mail, self.jobs = mail, jobs
        self.ctx = Context(FACTS)

    def fail(self, fates: Iterable[bool], fate: str) -> None:
        """Let sends of children fail where `fates` says so; `fate` tells what is in the log."""
        each = chain(fates, repeat(object=False))
        topic = self.mail.queue.plan("shop").topic
        self.jobs.broker.fail_publishes(
            lambda outgoing: outgoing.topic == topic and next(each),
            fate=fate,  # type: ignore[arg-type] # one of its words
        )

    def enqueue(self, to: str, **options: str) -> None:
        """Repeat one enqueue, as a careful handler would, until it is acknowledged."""
        while True:
            try:
                self.ctx.enqueue(self.mail, Mail(to), **options)
            except EnqueueTimeout:
                continue
            return

    def ids(self) -> list[str]:
        """Of the children in the log, each once."""
        return [seen.id for seen in self.jobs.seen(self.mail)]


@contextmanager
def family() -> Iterator[Family]:
    app = App("shop")
    mail = app.declare("mail", Mail, queue=app.queue("mails", partitions=1))
    with memory(app) as jobs:
        yield Family(mail, jobs)


def expected(count: int) -> list[str]:
    """Ids of so many equal children of a run in which nothing failed."""
    with family() as undisturbed:
        for _ in range(count):
            undisturbed.enqueue("ann")
        return undisturbed.ids()


fates = st.lists(st.booleans(), max_size=12)
written = st.sampled_from(["appended", "absent"])


@given(st.integers(1, 4), fates, written)
def test_a_repeat_after_a_failure_is_the_same_child(
    count: int, fails: list[bool], fate: str
) -> None:
    with family() as children:
        children.fail(fails, fate)
        for _ in range(count):
            children.enqueue("ann")

        assert children.ids() == expected(count)


@given(fates, written)
def test_threads_of_one_run_make_as_many_children_as_they_are(fails: list[bool], fate: str) -> None:
    with family() as children:
        children.fail(fails, fate)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(children.enqueue, ["ann"] * 4))

        assert sorted(children.ids()) == sorted(expected(4))


@given(fates, written)
def test_coroutines_of_one_run_make_as_many_children_as_they_are(
    fails: list[bool], fate: str
) -> None:
    async def enqueue(children: Family) -> None:
        while True:
            try:
                await children.ctx.aenqueue(children.mail, Mail("ann"))
            except EnqueueTimeout:
                continue
            return

    async def all_at_once(children: Family) -> None:
        await asyncio.gather(*(enqueue(children) for _ in range(4)))

    with family() as children:
        children.fail(fails, fate)
        asyncio.run(all_at_once(children))

        assert sorted(children.ids()) == sorted(expected(4))


def test_a_repeat_after_a_cancelled_await_is_the_same_child() -> None:
    async def given_up_then_repeated(children: Family) -> None:
        waiting = asyncio.ensure_future(children.ctx.aenqueue(children.mail, Mail("ann")))
        await asyncio.sleep(0)  # It is on its way.
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await children.ctx.aenqueue(children.mail, Mail("ann"))

    with family() as children:
        asyncio.run(given_up_then_repeated(children))

        assert children.ids() == expected(1)


def test_the_number_of_a_child_that_failed_is_not_given_to_other_args() -> None:
    """That child may be in the log: its id with other args would be a conflict."""
    with family() as children:
        children.fail([True], "appended")
        with pytest.raises(EnqueueTimeout):
            children.ctx.enqueue(children.mail, Mail("ann"), child_name="receipt")

        children.enqueue("bob", child_name="receipt")
        children.enqueue("ann", child_name="receipt")

        found = {seen.id: seen.args for seen in children.jobs.seen(children.mail)}
        ids = [from_parent(PARENT, "mail", "receipt", number) for number in range(2)]
        assert found == dict(zip(ids, [Mail("ann"), Mail("bob")], strict=True))


def test_what_was_refused_before_it_was_sent_is_not_counted() -> None:
    with family() as children:
        with pytest.raises(ConfigError):
            children.ctx.enqueue(children.mail, Mail("ann"), delay="soon")
        children.enqueue("ann")

        assert children.ids() == expected(1)
