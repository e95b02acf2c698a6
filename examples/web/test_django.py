"""The service and its jobs in one process, without Kafka."""

import asyncio
from collections.abc import Iterator

import pytest
from django.test import AsyncClient, Client

from jobstream.django import results_from
from jobstream.testing import MemoryJobs, MemoryLookup, memory

from . import django_web  # noqa: F401 - sets Django up
from .jobs import Receipt, app, send_receipt

ORDER = {"id": "o-1", "email": "a@b.example"}


@pytest.fixture
def jobs() -> Iterator[MemoryJobs]:
    """Let all of the app be in memory, and nothing in Kafka."""
    with memory(app) as bound, results_from(MemoryLookup(bound)):
        yield bound


def test_an_order_sends_a_receipt(jobs: MemoryJobs) -> None:
    """From the request to the end of its job."""
    headers = {"X-Request-ID": "request-9"}
    answer = Client(headers=headers).post("/orders", ORDER, "application/json")

    assert answer.status_code == 202
    jobs.run_until_idle()
    jobs.assert_done(send_receipt)
    jobs.assert_enqueued(send_receipt, Receipt("o-1", "a@b.example"), count=1)


@pytest.mark.parametrize(("body", "status"), [("{", 400), ("[]", 422), ('{"id": 5}', 422)])
def test_what_is_no_order_is_refused(jobs: MemoryJobs, body: str, status: int) -> None:
    """Before anything is enqueued."""
    answer = Client().post("/orders", body, "application/json")

    assert answer.status_code == status
    assert jobs.seen() == []


def test_a_receipt_is_sent_again(jobs: MemoryJobs) -> None:
    """The same by a view that is a coroutine."""
    answer = asyncio.run(AsyncClient().post("/orders/o-1/receipts?email=a@b.example"))

    jobs.run_until_idle()
    job_id = jobs.assert_done(answer.json()["job_id"])[0].id
    assert Client().get(f"/jobs/{job_id}").json()["stage"] == "done"


def test_without_kafka_it_says_when_to_come_back(jobs: MemoryJobs) -> None:
    """The broker in memory can fail as Kafka can."""
    jobs.broker.freeze()

    answer = Client().post("/orders", ORDER, "application/json")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
