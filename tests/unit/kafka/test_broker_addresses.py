"""Which texts name brokers."""

from __future__ import annotations

import re

import pytest

from jobstream import ConfigError
from jobstream.kafka.client.client_options import read_brokers
from jobstream.settings import Settings


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("localhost", "localhost"),
        ("127.0.0.1:9092", "127.0.0.1:9092"),
        (" a:1 , b_c.shop.svc:65535 ", "a:1,b_c.shop.svc:65535"),
        ("[::1]:9092,[fe80::1%eth0],h:9", "[::1]:9092,[fe80::1%eth0],h:9"),
    ],
)
def test_addresses_are_taken_and_joined(value: str, read: str) -> None:
    assert read_brokers("servers", value) == read
    assert Settings.load({}, bootstrap_servers=value).bootstrap_servers == read


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("localhost:99999", "'99999' is not a port: write one from 1 to 65535"),
        ("localhost:0", "'0' is not a port"),
        ("localhost:", "'' is not a port"),
        ("localhost:kafka", "'kafka' is not a port"),
        ("localhost:\N{ARABIC-INDIC DIGIT NINE}", "is not a port"),
        ("localhost:" + "9" * 5_000, "is not a port"),
        ("kafka://localhost:9092", "write 'localhost:9092', and set TLS"),
        ("a:1,SSL://b:2", "'SSL://b:2' has a scheme: write 'b:2'"),
        (" , ", "is empty: write host:port,host:port"),
        ("a:1,", "is empty"),
        ("", "write host:port,host:port"),
        ("::1:9092", "write IPv6 in brackets, as in [::1]:9092"),
        (":9092", "':9092' is not host:port"),
        ("a b:9092", "'a b:9092' is not host:port"),
        ("a:1;b:1", "is not"),
        (["a:1", "b:1"], "join them by commas, as in 'a:9092,b:9092'"),
        (9092, "9092 is not a text"),
    ],
)
def test_what_names_no_broker_is_refused_with_the_fix(value: object, fix: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fix)) as refused:
        read_brokers("servers", value)

    assert str(refused.value).startswith(f"servers={value!r}")


def test_the_variable_is_named() -> None:
    environ = {"JOBSTREAM_BOOTSTRAP_SERVERS": "localhost:99999"}
    with pytest.raises(ConfigError, match=r"^JOBSTREAM_BOOTSTRAP_SERVERS='localhost:99999': "):
        Settings.load(environ)
