"""Both services in one process, without Kafka and without a database."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from jobstream.idempotency import MemoryKeyStore
from jobstream.testing import MemoryJobs, memory

from . import fastapi_pay, flask_pay
from .jobs import Receipt, app, send_receipt

PAYMENT = {"order": "o-1", "cents": 990}
KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}


@pytest.fixture
def jobs() -> Iterator[MemoryJobs]:
    """Keep jobs in memory, and nothing in Kafka."""
    with memory(app) as bound:
        yield bound


def test_a_payment_sent_twice_is_one(jobs: MemoryJobs) -> None:
    """The second answer is the first one, and says so."""
    fastapi_pay.paid.clear()
    client = TestClient(fastapi_pay.payments(MemoryKeyStore()))

    first, again = (client.post("/payments", json=PAYMENT, headers=KEY) for _ in range(2))

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert fastapi_pay.paid == [(f"{KEY['Idempotency-Key']}/1", 990)]
    jobs.assert_enqueued(send_receipt, Receipt("o-1", 990), count=1)


def test_a_payment_that_reaches_another_replica_after_a_crash_has_one_receipt(
    jobs: MemoryJobs,
) -> None:
    """The other replica's store knows no answer, as if the first had died before it."""
    for _ in range(2):
        client = TestClient(fastapi_pay.payments(MemoryKeyStore()))
        assert client.post("/payments", json=PAYMENT, headers=KEY).status_code == 201

    jobs.run_until_idle()
    assert len({job.id for job in jobs.seen(send_receipt)}) == 1


def test_mistakes_are_named() -> None:
    """No key, and a key that was used for something else."""
    client = TestClient(fastapi_pay.payments(MemoryKeyStore()))

    assert client.post("/payments", json=PAYMENT).status_code == 400
    assert client.post("/payments", json={"order": ""}, headers=KEY).status_code == 422
    other = client.post("/payments", json=PAYMENT, headers=KEY)
    assert (other.status_code, other.json()["type"]) == (
        422,
        "urn:jobstream:problem:idempotency-key-reused",
    )


def test_flask_does_the_same(jobs: MemoryJobs) -> None:
    """The other kind of server."""
    flask_pay.paid.clear()
    client = flask_pay.payments(MemoryKeyStore()).test_client()

    first, again = (client.post("/payments", json=PAYMENT, headers=KEY) for _ in range(2))

    assert first.get_json() == again.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert flask_pay.paid == [990]
    jobs.assert_enqueued(send_receipt, count=1)
