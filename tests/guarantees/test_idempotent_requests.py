"""Requests with one key on real servers and databases: one effect, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.harness.keyed_server import (
    GUNICORN,
    LEASE_S,
    LIMIT_S,
    UVICORN,
    KeyedServers,
    asked_aside,
    carried_out,
    post,
)
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_ONCE = 200


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyedServers]:
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/keys.db" if is_file else request.getfixturevalue("postgres").url
    made = KeyedServers(tmp_path / "service", url, KEYED_LEASE=f"{LEASE_S}s")
    yield made
    made.close()


async def all_at_once(addresses: list[str], key: str, body: bytes) -> list[httpx2.Response]:
    """So many requests at one time; those that are told to come back do, until all have it."""
    limits = httpx2.Limits(max_connections=AT_ONCE)
    async with httpx2.AsyncClient(timeout=LIMIT_S, limits=limits) as client:

        async def ask(number: int) -> httpx2.Response:
            address = addresses[number % len(addresses)]
            headers = {"Idempotency-Key": key}
            while True:
                answer = await client.post(f"{address}/orders", content=body, headers=headers)
                if answer.status_code != 409:
                    return answer

        return await asyncio.gather(*(ask(number) for number in range(AT_ONCE)))


@pytest.mark.parametrize("command", [UVICORN, GUNICORN], ids=["uvicorn", "gunicorn"])
def test_two_hundred_at_once_have_one_effect(
    servers: KeyedServers, command: tuple[str, ...]
) -> None:
    replicas = 2 if command is UVICORN else 1  # The other has three processes by itself.
    addresses = [servers.start(command) for _ in range(replicas)]

    for number in range(3):
        body = json.dumps({"n": number}).encode()
        answers = asyncio.run(all_at_once(addresses, f"key-{number}", body))

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        fresh = [each for each in answers if "idempotency-replayed" not in each.headers]
        assert len(fresh) == 1
    assert sorted(effect[1] for effect in servers.effects("begin")) == ["0", "1", "2"]


def test_a_server_killed_within_a_handler_leaves_its_key_for_another(
    servers: KeyedServers,
) -> None:
    first, second = servers.start(UVICORN), servers.start(UVICORN)
    request = {"n": 1, "wait": True}
    thread, found = asked_aside(first, request)
    wait_until(lambda: servers.effects("begin"), "the handler runs", limit_s=LIMIT_S)
    assert post(second, "k", request).status_code == 409

    servers.signal(signal.SIGKILL)
    thread.join(LIMIT_S)
    servers.open_gate()
    answer = carried_out(second, request)

    assert isinstance(found[0], httpx2.TransportError)
    assert "idempotency-replayed" not in answer.headers
    assert post(second, "k", request).content == answer.content
    assert post(second, "k", {"n": 2}).status_code == 422
    assert (len(servers.effects("begin")), len(servers.effects("end"))) == (2, 1)
    assert servers.row().attempt == 2


def test_a_server_that_was_frozen_does_not_overwrite_the_answer(servers: KeyedServers) -> None:
    first, second = servers.start(UVICORN), servers.start(UVICORN)
    request = {"n": 1, "wait": True}
    thread, found = asked_aside(first, request)
    wait_until(lambda: servers.effects("begin"), "the handler runs", limit_s=LIMIT_S)
    servers.signal(signal.SIGSTOP)
    servers.open_gate()
    answer = carried_out(second, request)
    servers.signal(signal.SIGCONT)
    thread.join(LIMIT_S)

    assert found[0].status_code == 201
    assert found[0].headers["idempotency-not-stored"] == "lease-lost"
    assert found[0].content != answer.content, "each tells its own process"
    assert post(first, "k", request).content == answer.content


@pytest.mark.parametrize("how", ["wait", "hold"])
def test_a_handler_longer_than_its_lease_is_not_doubled(servers: KeyedServers, how: str) -> None:
    """`hold` keeps the event loop from turning, too."""
    first, second = servers.start(UVICORN), servers.start(UVICORN)
    request = {"n": 1, how: True}
    thread, found = asked_aside(first, request)
    wait_until(lambda: servers.effects("begin"), "the handler runs", limit_s=LIMIT_S)
    servers.wait_until_renewed()

    assert post(second, "k", request).status_code == 409
    servers.open_gate()
    thread.join(LIMIT_S)

    assert found[0].status_code == 201
    assert post(second, "k", request).content == found[0].content
    assert len(servers.effects("begin")) == 1


def test_workers_of_gunicorn_renew_leases_after_the_fork(servers: KeyedServers) -> None:
    address = servers.start(GUNICORN)
    request = {"n": 1, "wait": True}
    thread, found = asked_aside(address, request)
    wait_until(lambda: servers.effects("begin"), "the handler runs", limit_s=LIMIT_S)
    servers.wait_until_renewed()

    assert post(address, "k", request).status_code == 409
    servers.open_gate()
    thread.join(LIMIT_S)

    assert found[0].status_code == 201
    assert len(servers.effects("begin")) == 1


def test_while_the_database_is_away_requests_with_a_key_are_refused(tmp_path: Path) -> None:
    with Postgres() as database:
        servers = KeyedServers(tmp_path / "service", database.url)
        try:
            strict, lax = servers.start(UVICORN), servers.start(UVICORN, KEYED_DOWN="pass")
            kept = post(strict, "kept", {"n": 1})
            database.stop()

            refused = post(strict, "k", {"n": 2})
            passed = post(lax, "k", {"n": 3})
            database.start()
            again = post(strict, "kept", {"n": 1})
        finally:
            servers.close()

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert (passed.status_code, passed.headers["idempotency-not-stored"]) == (201, "store-down")
    assert again.content == kept.content
    assert sorted(effect[1] for effect in servers.effects()) == ["1", "3"]
