"""Services and relays killed at every step: each committed order is booked once, none is lost."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from tests.harness.bank import LIMIT_S, NewBank
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.harness.bank import Bank

pytestmark = pytest.mark.kafka

ORDERS = 60
STEPS = ("read", "published", "acknowledged", "deleted")


def by_key(bank: Bank, numbers: Iterable[int]) -> dict[int, list[int]]:
    """The first appearance of each order, by its key."""
    found: dict[int, list[int]] = defaultdict(list)
    for number in dict.fromkeys(numbers):
        found[number % bank.shop.KEYS].append(number)
    return found


def test_a_service_that_dies_leaves_both_rows_or_none(new_bank: NewBank) -> None:
    bank = new_bank()
    bank.kill_at("before the commit", "service", 0, ORDERS)
    bank.kill_at("after the commit", "service", ORDERS, 2 * ORDERS)

    written = bank.orders()
    assert written == [*range(ORDERS // 2), *range(ORDERS, ORDERS + ORDERS // 2 + 1)]
    assert bank.rows() == len(written)
    relay, worker = bank.start("relay"), bank.start("worker")
    bank.wait_until_booked(len(written))
    bank.stop(worker)
    bank.stop(relay)

    assert bank.booked() == written
    assert bank.rows() == 0


def test_a_relay_that_is_killed_at_any_step_loses_and_doubles_nothing(new_bank: NewBank) -> None:
    bank = new_bank()
    for round_, step in enumerate(STEPS):
        bank.serve(round_ * ORDERS, (round_ + 1) * ORDERS)
        bank.kill_at(step, "relay")
    left = bank.rows()
    relay = bank.start("relay")
    bank.wait_until_relayed()
    worker = bank.start("worker")
    bank.wait_until_booked(len(STEPS) * ORDERS)
    bank.stop(worker)
    bank.stop(relay)

    assert bank.booked() == bank.orders() == list(range(len(STEPS) * ORDERS))
    log = bank.in_log()
    assert left >= ORDERS, "the kills left rows"
    assert len(log) > len(STEPS) * ORDERS, "some were published twice"
    assert all(found == sorted(found) for found in by_key(bank, log).values())


def test_two_relays_that_are_killed_again_and_again_keep_the_order_of_keys(
    new_bank: NewBank, say: Callable[[object], None]
) -> None:
    bank = new_bank()
    relays = [bank.start("relay"), bank.start("relay")]
    service = bank.start("service", 0, 20 * ORDERS)
    for kill in range(4):
        reached = (kill + 1) * 4 * ORDERS
        wait_until(
            lambda reached=reached: len(set(bank.in_log())) >= reached,  # type: ignore[misc]
            f"{reached} are in the log",
            limit_s=LIMIT_S,
        )
        victim = relays.pop(0)
        victim.kill()
        victim.wait()
        relays.append(bank.start("relay"))
    assert service.wait(LIMIT_S) == 0
    bank.wait_until_relayed()
    worker = bank.start("worker")
    bank.wait_until_booked(20 * ORDERS)
    for process in (worker, *relays):
        bank.stop(process)

    log = bank.in_log()
    say(f"{len(log) - len(set(log))} of {len(log)} were published twice")
    assert bank.booked() == list(range(20 * ORDERS))
    assert all(found == sorted(found) for found in by_key(bank, log).values())
