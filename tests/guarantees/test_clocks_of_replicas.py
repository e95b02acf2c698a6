"""Replicas whose clocks are days apart, on one database: its clock alone tells what is over."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from tests.harness.keyed_server import (
    LEASE_S,
    LIMIT_S,
    UVICORN,
    KeyedServers,
    asked_aside,
    carried_out,
    post,
)
from tests.harness.other_clock import clock_off
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_until

from jobstream.sql import sweep_inbox
from jobstream.sql.outbox_rows import OutboxRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness.bank import NewBank

KEPT_H = 24
"""For how many hours an answer is kept."""
ORDERS = 30


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[KeyedServers]:
    with Postgres() as server:
        made = KeyedServers(tmp_path / "service", server.url, KEYED_LEASE=f"{LEASE_S}s")
        yield made
        made.close()


@pytest.mark.parametrize("signs", ["+-", "-+"])
def test_a_key_belongs_to_one_replica_and_its_answer_to_all(
    servers: KeyedServers, signs: str
) -> None:
    # Given a request that is under way on a replica whose clock is a day and more from the other's
    addresses = [servers.start(UVICORN, **clock_off(f"{sign}{KEPT_H + 6}h")) for sign in signs]
    first, second = addresses
    request = {"n": 1, "wait": True}
    aside, _ = asked_aside(first, request)
    wait_until(lambda: servers.effects("begin"), "the handler runs", limit_s=LIMIT_S)

    # Then its lease holds for the other one, too, as long as it is renewed
    servers.wait_until_renewed()
    assert post(second, "k", request).status_code == 409

    # And once its answer is stored, both have that: no replica takes it for expired
    servers.open_gate()
    aside.join(LIMIT_S)
    answers = [post(address, "k", request) for address in (*addresses, *addresses)]
    others = [post(address, f"other-{n}", {"n": 2 + n}) for n, address in enumerate(addresses)]
    again = [post(address, "k", request) for address in addresses]
    assert {(each.status_code, each.content) for each in (*answers, *again)} == {
        (201, answers[0].content)
    }
    assert {each.status_code for each in others} == {201}
    assert sorted(effect[1] for effect in servers.effects()) == ["1", "2", "3"]


@pytest.mark.parametrize("signs", ["+-", "-+"])
def test_a_lease_of_a_replica_that_died_ends_after_its_time(
    servers: KeyedServers, signs: str
) -> None:
    first, second = (servers.start(UVICORN, **clock_off(f"{sign}{KEPT_H + 6}h")) for sign in signs)
    request = {"n": 1, "wait": True}
    aside, _ = asked_aside(first, request)
    wait_until(lambda: servers.effects("begin"), "the handler runs", limit_s=LIMIT_S)
    refused = post(second, "k", request)
    servers.signal(signal.SIGKILL)
    aside.join(LIMIT_S)
    servers.open_gate()
    carried_out(second, request)

    assert refused.status_code == 409
    assert (len(servers.effects("begin")), len(servers.effects("end"))) == (2, 1)


@pytest.mark.kafka
@pytest.mark.parametrize("new_bank", ["postgresql -400d", "postgresql +400d"], indirect=True)
def test_orders_are_booked_once_by_whatever_clock_the_database_has(new_bank: NewBank) -> None:
    # Given a relay that was killed between the acknowledgement and the deletion
    bank = new_bank()
    bank.serve(0, ORDERS)
    waited_s = OutboxRows(bank.engine, bank.shop.app.name).waiting().oldest_s
    bank.kill_at("acknowledged", "relay")
    relays = [bank.start("relay"), bank.start("relay")]
    bank.wait_until_relayed()

    # And a worker that was killed behind its commit, after which old marks are swept
    bank.kill_at("committed", "worker")
    marked = bank.marks()
    swept = sweep_inbox(bank.engine, bank.shop.app)
    worker = bank.start("worker")
    bank.wait_until_booked(ORDERS)
    bank.wait_until_settled()
    for process in (worker, *relays):
        bank.stop(process)

    # Then each order is booked once, and neither row nor mark was taken for old
    assert bank.booked() == bank.orders() == list(range(ORDERS))
    assert (marked > 0, swept, bank.marks()) == (True, 0, ORDERS)
    assert waited_s < 2 * LIMIT_S
    assert len(bank.in_log()) > ORDERS, "some were published twice"
    assert len(bank.runs()) > ORDERS, "some ran twice"
