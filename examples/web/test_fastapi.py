"""The service and its jobs in one process, without Kafka."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from jobstream.fastapi import jobs as given_jobs
from jobstream.fastapi import jobs_with
from jobstream.testing import MemoryJobs, MemoryLookup, memory

from .fastapi_web import web
from .jobs import Receipt, app, send_receipt

ORDER = {"id": "o-1", "email": "a@b.example"}


@pytest.fixture
def jobs() -> Iterator[MemoryJobs]:
    """Let all of the app be in memory, and nothing in Kafka."""
    with memory(app) as bound:
        yield bound


@pytest.fixture
def browser(jobs: MemoryJobs) -> Iterator[TestClient]:
    """A client of the service, which looks for jobs in memory, too."""
    web.dependency_overrides[given_jobs] = jobs_with(app, MemoryLookup(jobs))
    with TestClient(web) as client:
        yield client
    web.dependency_overrides.clear()


def test_an_order_sends_a_receipt(jobs: MemoryJobs, browser: TestClient) -> None:
    """From the request to the end of its job."""
    answer = browser.post("/orders", json=ORDER, headers={"X-Request-ID": "request-9"})

    assert answer.status_code == 202
    jobs.assert_enqueued(send_receipt, Receipt("o-1", "a@b.example"), count=1)
    jobs.run_until_idle()
    jobs.assert_done(answer.json()["job_id"])
    assert browser.get(answer.headers["Location"]).json()["stage"] == "done"


def test_an_order_sent_twice_is_one_job(jobs: MemoryJobs, browser: TestClient) -> None:
    """Its id is the idempotency key."""
    first, again = (browser.post("/orders", json=ORDER) for _ in range(2))

    assert first.json() == again.json()
    jobs.assert_enqueued(send_receipt, count=1)


def test_a_receipt_is_sent_again(jobs: MemoryJobs, browser: TestClient) -> None:
    """The same by a route that is no coroutine."""
    answer = browser.post("/orders/o-1/receipts", params={"email": "a@b.example"})

    jobs.run_until_idle()
    jobs.assert_done(answer.json()["job_id"])


def test_without_kafka_it_says_when_to_come_back(jobs: MemoryJobs, browser: TestClient) -> None:
    """The broker in memory can fail as Kafka can."""
    jobs.broker.freeze()

    answer = browser.post("/orders", json=ORDER)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
