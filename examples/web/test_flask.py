"""The service and its jobs in one process, without Kafka."""

from collections.abc import Iterator

import pytest

from jobstream.testing import MemoryJobs, MemoryLookup, memory

from .flask_web import jobs as extension
from .flask_web import web
from .jobs import Receipt, app, send_receipt

ORDER = {"id": "o-1", "email": "a@b.example"}


@pytest.fixture
def jobs() -> Iterator[MemoryJobs]:
    """Let all of the app be in memory, and nothing in Kafka."""
    with memory(app) as bound:
        extension.look_in(web, MemoryLookup(bound))
        yield bound


def test_an_order_sends_a_receipt(jobs: MemoryJobs) -> None:
    """From the request to the end of its job."""
    browser = web.test_client()
    answer = browser.post("/orders", json=ORDER, headers={"X-Request-ID": "request-9"})

    assert answer.status_code == 202
    jobs.assert_enqueued(send_receipt, Receipt("o-1", "a@b.example"), count=1)
    jobs.run_until_idle()
    jobs.assert_done(answer.get_json()["job_id"])
    assert browser.get(answer.headers["Location"]).get_json()["stage"] == "done"


def test_half_an_order_is_refused(jobs: MemoryJobs) -> None:
    """Before anything is enqueued."""
    answer = web.test_client().post("/orders", json={"id": 5})

    assert answer.status_code == 422
    assert jobs.seen() == []


def test_without_kafka_it_says_when_to_come_back(jobs: MemoryJobs) -> None:
    """The broker in memory can fail as Kafka can."""
    jobs.broker.freeze()

    answer = web.test_client().post("/orders", json=ORDER)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
