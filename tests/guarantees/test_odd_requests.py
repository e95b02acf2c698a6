"""Requests with a key as no good client sends them, byte by byte, to a real server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select
from tests.harness.keyed_server import LIMIT_S, UVICORN, KeyedServers, post
from tests.harness.waiting import wait_until

from jobstream.sql.schema import idempotency_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b'{"n": 1}'


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedServers]:
    folder: Path = tmp_path_factory.mktemp("odd")
    made = KeyedServers(folder / "service", f"sqlite:///{folder}/keys.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(servers: KeyedServers) -> str:
    return servers.start(UVICORN)


def connected(address: str) -> socket.socket:
    host = urlsplit(address)
    assert host.port is not None
    return socket.create_connection(("127.0.0.1", host.port), timeout=LIMIT_S)


def head(key: str, *more: str) -> bytes:
    lines = [
        "POST /orders HTTP/1.1", "Host: here", f"Idempotency-Key: {key}", "Connection: close",
        *more,
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def everything(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(65_536):
        found += part
    return found


def said(address: str, *parts: bytes) -> bytes:
    """What the server says to these bytes, until it closes."""
    with connected(address) as connection:
        for part in parts:
            connection.sendall(part)
        return everything(connection)


def test_a_body_in_chunks_is_the_same_request_as_one_with_a_length(address: str) -> None:
    first = post(address, "chunks", {"n": 1})
    chunked = said(
        address, head("chunks", "Transfer-Encoding: chunked"), b"3\r\n" + BODY[:3] + b"\r\n",
        b"5\r\n" + BODY[3:] + b"\r\n", b"0\r\n\r\n",
    )  # fmt: skip

    assert first.status_code == 201
    assert b"idempotency-replayed: true" in chunked
    assert chunked.endswith(first.content)


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(head("expects", "Content-Length: 8", "Expect: 100-continue"))
        told = connection.recv(1_000)
        connection.sendall(BODY)
        answer = everything(connection)

    assert told.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 201 " in answer


def test_a_body_that_is_announced_too_large_is_not_asked_for(address: str) -> None:
    answer = said(address, head("large", "Content-Length: 2000000", "Expect: 100-continue"))

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_two_keys_are_refused(address: str) -> None:
    # At once: a server that closes before the body has come resets the connection.
    answer = said(address, head("a", "Idempotency-Key: a", "Content-Length: 8") + BODY)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"idempotency-key-malformed" in answer


def stored(servers: KeyedServers, key: str) -> int:
    with servers.engine.connect() as connection:
        rows = select(func.count()).where(idempotency_keys.c["key"] == key)
        found: int = connection.execute(rows).scalar_one()
    return found


def test_a_client_that_leaves_within_its_body_leaves_no_row(
    servers: KeyedServers, address: str
) -> None:
    with connected(address) as connection:
        connection.sendall(head("half", "Content-Length: 8") + BODY[:3])

    assert post(address, "whole", {"n": 2}).status_code == 201
    assert stored(servers, "half") == 0
    assert post(address, "half", {"n": 3}).status_code == 201


def test_a_client_that_leaves_while_the_handler_runs_finds_its_answer(
    servers: KeyedServers, address: str
) -> None:
    request = {"n": 77, "wait": True}
    body = b'{"n": 77, "wait": true}'
    with connected(address) as connection:
        connection.sendall(head("left", f"Content-Length: {len(body)}") + body)
        wait_until(
            lambda: [each for each in servers.effects("begin") if each[1] == "77"],
            "the handler runs",
            limit_s=LIMIT_S,
        )
    servers.open_gate()

    answer = wait_until(
        lambda: (got := post(address, "left", request)).status_code == 201 and got,
        "the handler has ended",
        limit_s=LIMIT_S,
    )

    assert answer
    assert answer.headers["idempotency-replayed"] == "true"
    assert len([each for each in servers.effects("begin") if each[1] == "77"]) == 1
