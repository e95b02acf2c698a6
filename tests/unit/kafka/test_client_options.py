"""Options for the Kafka client: what breaks a promise is refused with advice, the rest passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from jobstream.errors import ConfigError
from jobstream.kafka.client.client_options import DENIED, ClientOptions, read_client_options
from jobstream.kafka.client.construct import made
from jobstream.kafka.consume.member_options import CONSUMER
from jobstream.kafka.produce.lasting import PRODUCER

REPOSITORY = Path(__file__).resolve().parents[3]


# What our clients are made with on top of what a user gives.
OURS = {*PRODUCER, *CONSUMER} - {"socket.timeout.ms"}


def made_with(options: ClientOptions) -> None:
    made(AdminClient, {**options.reveal(), "bootstrap.servers": "127.0.0.1:1", "log_level": 0})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("security.protocol", "ssl"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.oauthbearer.token.endpoint.url", "https://login.example/token"),
        ("compression.type", "zstd"),
        ("batch.size", 200_000),
        ("fetch.max.bytes", 10_000_000),
        ("socket.keepalive.enable", True),
        ("enable.metrics.push", False),
        ("topic.metadata.refresh.interval.ms", 60_000),
        ("debug", "broker"),
        ("log_level", 3),
    ],
)
def test_what_breaks_no_promise_reaches_the_client(name: str, value: str | float) -> None:
    options = read_client_options({}, {name: value})

    assert [*options.reveal()] == [name]
    made_with(options)


@pytest.mark.parametrize("name", sorted(OURS))
def test_nothing_that_our_clients_set_themselves_is_taken_and_passed_over(name: str) -> None:
    with pytest.raises(ConfigError, match="is refused"):
        read_client_options({}, {name: "1"})


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("plugin.library.paths", "loads foreign code"),
        ("ssl.engine.location", "loads foreign code"),
        ("ssl.providers", "loads foreign code"),
        ("sasl.kerberos.kinit.cmd", "a shell runs it"),
        ("error_cb", "belong to jobstream"),
        ("oauthbearer_token_refresh_cb", "method=oidc"),
        ("enable.auto.commit", "offsets move only after"),
        ("auto.offset.reset", "offsets move only after"),
        ("isolation.level", "aborted"),
        ("acks", "all in-sync copies"),
        ("delivery.report.only.error", "all in-sync copies"),
        ("delivery.timeout.ms", "enqueue_timeout"),
        ("retries", "may be written all the same"),
        ("queuing.strategy", "in their order"),
        ("topic.queuing.strategy", "in their order"),
        ("topic.partitioner", "same partition"),
        ("topic.auto.offset.reset", "offsets move only after"),
        ("queue.buffering.max.ms", "bounds what waits"),
        ("allow.auto.create.topics", "topics apply"),
        ("test.mock.num.brokers", "makes up"),
        ("max.poll.interval.ms", "JOBSTREAM_REBALANCE_DRAIN"),
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


@pytest.mark.parametrize(
    ("environ", "given"),
    [
        ({}, {"security.protocoll": "ssl"}),
        ({"JOBSTREAM_KAFKA_SECURITY_PROTOCOLL": "ssl"}, {}),
    ],
)
def test_a_misspelled_option_does_not_connect_without_its_protection(
    environ: dict[str, str], given: dict[str, object]
) -> None:
    options = read_client_options(environ, given)

    with pytest.raises(ConfigError, match=r'"security\.protocoll".*JOBSTREAM_KAFKA_\*'):
        made_with(options)


def test_what_the_client_says_of_a_value_shows_no_secret() -> None:
    def refuses(options: dict[str, object]) -> None:
        message = f"can't read {options['ssl.key.pem']}"
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG, message))  # noqa: SLF001 - the library's name

    with pytest.raises(ConfigError, match=r"can't read \*\*\*") as caught:
        made(refuses, {"ssl.key.pem": "canary-5f1e"})

    assert "canary-5f1e" not in str(caught.value)


def test_the_level_of_the_log_is_the_one_name_without_dots() -> None:
    options = read_client_options({"JOBSTREAM_KAFKA_LOG_LEVEL": "3"}, {})

    assert options.reveal() == {"log_level": "3"}


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


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "some.new.password",
        # What a client in Java takes, and what ours refuses only when it is made.
        "sasl.jaas.config",
        "ssl.keystore.key",
        "ssl_key",
    ],
)
def test_every_secret_looking_name_is_masked(name: str) -> None:
    assert "canary-5f1e" not in repr(read_client_options({}, {name: "canary-5f1e"}))
    assert "ann" in repr(read_client_options({}, {"sasl.username": "ann"}))


def test_the_page_names_every_refusal() -> None:
    page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
    named = set(re.findall(r"`([\w.*]+)`", page))

    assert not {pattern for pattern, _ in DENIED} - named
