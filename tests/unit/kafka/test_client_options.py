"""Options for the Kafka client: what is let through, what is refused and with which advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from jobstream.errors import ConfigError
from jobstream.kafka.client.client_options import ALLOWED, DENIED, SECRETS, read_client_options

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_the_client_knows_what_is_let_through(name: str) -> None:
    options: dict[str, str | int | float | bool] = {
        name: "\x01no such value\x01",
        "bootstrap.servers": "127.0.0.1:1",
        "log_level": 0,
    }
    try:
        AdminClient(options)
    except KafkaException as error:
        assert "No such configuration property" not in error.args[0].str()  # noqa: PT017 - most raise, for the value


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("plugin.library.paths", "loads foreign code"),
        ("ssl.engine.location", "loads foreign code"),
        ("ssl.providers", "loads foreign code"),
        ("sasl.kerberos.kinit.cmd", "a shell runs it"),
        ("error_cb", "callbacks belong to jobstream"),
        ("oauthbearer_token_refresh_cb", "callbacks belong to jobstream"),
        ("enable.auto.commit", "offsets move only after"),
        ("auto.offset.reset", "offsets move only after"),
        ("acks", "all in-sync copies"),
        ("enable.idempotence", "all in-sync copies"),
        ("partitioner", "same partition"),
        ("group.id", "named after the app"),
        ("group.instance.id", "named after the app"),
        ("group.protocol", "JOBSTREAM_GROUP_PROTOCOL"),
        ("session.timeout.ms", "JOBSTREAM_SESSION_TIMEOUT"),
        ("bootstrap.servers", "JOBSTREAM_BOOTSTRAP_SERVERS"),
    ],
)
def test_a_refusal_names_the_option_and_the_reason(name: str, part: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(part)) as caught:
        read_client_options({}, {name: "x"})

    assert repr(name) in str(caught.value)


def test_nothing_refused_is_let_through() -> None:
    exact = {pattern for pattern, _ in DENIED if "*" not in pattern}

    assert not exact & ALLOWED


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'security\.protocol'\?"):
        read_client_options({}, {"security.protocoll": "ssl"})


def test_a_misspelled_variable_does_not_connect_without_its_protection() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'security\.protocol'\?"):
        read_client_options({"JOBSTREAM_KAFKA_SECURITY_PROTOCL": "ssl"}, {})


def test_an_argument_overrides_a_variable() -> None:
    environ = {"JOBSTREAM_KAFKA_SASL_USERNAME": "a", "JOBSTREAM_KAFKA_CLIENT_RACK": "r1"}

    options = read_client_options(environ, {"sasl.username": "b"})

    assert options.reveal() == {"sasl.username": "b", "client.rack": "r1"}


@pytest.mark.parametrize("value", [None, "", b"x", ["ssl"], len])
def test_a_value_is_text_or_a_number(value: object) -> None:
    with pytest.raises(ConfigError, match="use text or a number"):
        read_client_options({}, {"security.protocol": value})


@pytest.mark.parametrize("value", ["$(id)", '"; id; "', "`id`", "a b", "a%{x}"])
@pytest.mark.parametrize("name", ["sasl.kerberos.keytab", "sasl.kerberos.principal"])
def test_what_reaches_a_shell_holds_no_command(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match="shell"):
        read_client_options({}, {name: value})


def test_an_ordinary_keytab_passes() -> None:
    given = {
        "sasl.kerberos.keytab": "/etc/keys/shop.keytab",
        "sasl.kerberos.principal": "shop/host-1.example@REALM.EXAMPLE",
    }

    assert read_client_options({}, given).reveal() == given


def test_every_secret_looking_name_is_masked() -> None:
    looking = {name for name in ALLOWED if "password" in name or "secret" in name}

    assert looking <= SECRETS
    assert "sasl.username" not in SECRETS


def test_the_page_names_every_option_and_every_refusal() -> None:
    page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
    named = set(re.findall(r"`([\w.*]+)`", page))

    assert not ALLOWED - named
    assert not {pattern for pattern, _ in DENIED} - named
