"""The administrator where no cluster answers, or the client's options are wrong."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream.errors import BrokerUnavailable, ConfigError
from jobstream.kafka.client import admin_calls as asking
from jobstream.kafka.client.admin import Admin
from jobstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S = 120.0
REFUSED = "Connection refused"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens, and nothing else can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_no_broker_is_told_with_address_and_reason(
    nobody: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asking, "WAIT_S", 0.5)
    client = Admin(Settings.load({}, bootstrap_servers=nobody))

    def said_by(ask: Callable[[], object]) -> str:
        with pytest.raises(BrokerUnavailable) as caught:
            ask()
        return str(caught.value)

    # The client library's own thread hears it, which may get no turn in half a second.
    wait_until(lambda: REFUSED in said_by(client.cluster), "the reason is known", limit_s=LIMIT_S)
    for ask in (client.cluster, client.topics, lambda: client.describe(["shop.mail"])):
        said = said_by(ask)
        assert REFUSED in said
        assert nobody in said

    assert capfd.readouterr().err == ""


def test_a_silent_broker_does_not_hold_the_caller(
    deaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "WAIT_S", 0.5)
    client = Admin(Settings.load({}, bootstrap_servers=deaf))

    with pytest.raises(BrokerUnavailable, match=r"within 0\.5 s"):
        client.cluster()


def test_a_value_that_the_client_refuses_is_a_setting_to_mend() -> None:
    settings = Settings.load({}, kafka={"security.protocol": "tls"})

    with pytest.raises(ConfigError, match=r"security\.protocol"):
        Admin(settings)


def test_nothing_asked_is_nothing_sent(nobody: str) -> None:
    client = Admin(Settings.load({}, bootstrap_servers=nobody))

    assert client.describe([]) == {}
    client.create([])
    client.alter_topic("shop.mail", {})
    client.alter_group("shop", {})
