"""Workers killed between effect and commit, and between commit and settlement: one effect a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.bank import NewBank

pytestmark = pytest.mark.kafka

ORDERS = 40


@pytest.mark.parametrize("place", ["effect", "committed"])
def test_an_effect_happens_once_wherever_the_worker_is_killed(
    new_bank: NewBank, place: str
) -> None:
    bank = new_bank()
    bank.shop.book.enqueue_many([bank.shop.Order(number) for number in range(ORDERS)])
    bank.kill_at(place, "worker")
    at_the_kill, began = bank.booked(), len(bank.runs())
    if place == "effect":
        assert at_the_kill == [], "what was not committed is not there"
    else:
        assert at_the_kill, "what was committed is there"

    worker = bank.start("worker")
    bank.wait_until_booked(ORDERS)
    bank.wait_until_settled()
    bank.stop(worker)

    assert bank.booked() == list(range(ORDERS))
    assert bank.marks() == ORDERS
    assert began
    assert len(bank.runs()) > ORDERS, "the kill cut runs off, and they ran again"
