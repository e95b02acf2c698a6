"""Settings: defaults, variables, arguments, refusals, and warnings about what nothing reads."""

from __future__ import annotations

import copy
import logging
import pickle
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from jobstream.errors import ConfigError, JobstreamError
from jobstream.settings import Overrides, Settings, option_name

REPOSITORY = Path(__file__).resolve().parents[2]


def test_defaults_come_without_any_variable() -> None:
    settings = Settings.load({"HOME": "/nobody"})

    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert settings.group_protocol == "consumer"
    assert (settings.session_timeout_ms, settings.heartbeat_ms) == (6_000, 1_000)
    assert (settings.enqueue_timeout_ms, settings.drain_ms) == (5_000, 25_000)
    assert settings.rebalance_drain_ms == 60_000
    assert (settings.concurrency, settings.window) == (200, 10_000)
    assert (settings.replication, settings.children) == (None, None)


def test_a_variable_overrides_the_default_and_an_argument_the_variable() -> None:
    environ = {"JOBSTREAM_CONCURRENCY": "50", "JOBSTREAM_DRAIN": "2m"}

    settings = Settings.load(environ, concurrency=7)

    assert (settings.concurrency, settings.drain_ms) == (7, 120_000)


def test_none_and_an_empty_variable_count_as_not_given() -> None:
    settings = Settings.load({"JOBSTREAM_WINDOW": ""}, drain=None, kafka=None)

    assert (settings.window, settings.drain_ms) == (10_000, 25_000)


@pytest.mark.parametrize(
    ("value", "is_on"), [("on", True), (" off", False), (True, True), (False, False), (None, False)]
)
def test_tracing_is_a_switch(value: bool | str | None, is_on: bool) -> None:  # noqa: FBT001 - a case
    assert Settings.load({}, tracing=value).tracing is is_on


@pytest.mark.parametrize(("value", "release"), [(" 2026.1 ", "2026.1"), ("", None), (None, None)])
def test_the_release_may_be_known(value: str | None, release: str | None) -> None:
    assert Settings.load({}, release=value).release == release


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"JOBSTREAM_STATE_DIR": "/s", "XDG_STATE_HOME": "/x"}, "/s"),
        ({"XDG_STATE_HOME": "/x"}, "/x/jobstream"),
        ({}, str(Path("~/.local/state/jobstream").expanduser())),
    ],
)
def test_state_dir(environ: dict[str, str], folder: str) -> None:
    assert str(Settings.load(environ).state_dir) == folder


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("concurrency", 0, "from 1 to"),
        ("concurrency", True, "from 1 to"),
        ("concurrency", "1e3", "'1e3'"),
        ("window", 2_000_000, "2000000"),
        ("replication", 0, "from 1 to"),
        ("children", -1, "-1"),
        ("drain", "soon", "'soon'"),
        ("session_timeout", "10ms", "1s .. 1h"),
        ("group_protocol", "kip848", "'consumer' or 'classic'"),
        ("enqueue_bytes_max", 900_001, "900000"),
        ("bootstrap_servers", "  ", "host:port"),
        ("state_dir", 7, "7"),
        ("release", 7, "not a release"),
        ("release", "a\nb", "not a release"),
        ("release", "\udce9", "not a release"),
        ("release", "x" * 129, "128 bytes"),
        ("tracing", "yes", "'on' or 'off'"),
        ("tracing", 1, "'on' or 'off'"),
        ("state_dir", "~nobody-of-that-name/x", "full path"),
    ],
)
def test_a_refused_value_is_named(option: str, value: object, part: str) -> None:
    given: dict[str, Any] = {option: value}
    with pytest.raises(ConfigError, match=re.escape(part)) as caught:
        Settings.load({}, **given)

    assert option in str(caught.value)
    assert isinstance(caught.value, JobstreamError)
    assert isinstance(caught.value, ValueError)


def test_a_refused_variable_is_named_as_the_variable() -> None:
    with pytest.raises(ConfigError, match="JOBSTREAM_HEARTBEAT='often'"):
        Settings.load({"JOBSTREAM_HEARTBEAT": "often"})


def test_a_heartbeat_must_fit_into_the_session() -> None:
    with pytest.raises(ConfigError, match=r"heartbeat=6s must be shorter than session_timeout=6s"):
        Settings.load({}, heartbeat="6s")


def test_an_unknown_argument_is_refused() -> None:
    unknown: dict[str, Any] = {"concurency": 3}
    with pytest.raises(ConfigError, match="no such setting: concurency"):
        Settings.load({}, **unknown)


def test_every_setting_is_an_argument_that_type_checkers_know() -> None:
    assert Overrides.__annotations__.keys() == {option_name(of) for of in fields(Settings)}


def test_an_unknown_variable_warns_and_names_the_nearest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Settings.load({"JOBSTREAM_CONCURENCY": "3", "JOBSTREAM_WINDOW": "5"})

    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "JOBSTREAM_CONCURENCY" in record.getMessage()
    assert "did you mean JOBSTREAM_CONCURRENCY?" in record.getMessage()


def test_what_an_orchestrator_announces_is_no_mistake(caplog: pytest.LogCaptureFixture) -> None:
    Settings.load(
        {
            "JOBSTREAM_SERVICE_HOST": "10.0.0.1",
            "JOBSTREAM_PORT_8080_TCP_ADDR": "10.0.0.1",
            "JOBSTREAM_KAFKA_SERVICE_PORT": "9092",
            "JOBSTREAM_KAFKA_PORT": "tcp://10.0.0.2:9092",
            "JOBSTREAM_KAFKA_PORT_9092_TCP": "tcp://10.0.0.2:9092",
            "JOBSTREAM_CACHE_DIR": "/c",
            "UNRELATED": "1",
        }
    )

    assert not caplog.records


def announced(service: str) -> dict[str, str]:
    """What Kubernetes puts into each pod beside a service of that name."""
    name = service.upper().replace("-", "_")
    return {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": "9000",
        f"{name}_SERVICE_PORT_HTTP": "9000",
        f"{name}_PORT": "tcp://10.0.0.1:9000",
        f"{name}_PORT_9000_TCP": "tcp://10.0.0.1:9000",
        f"{name}_PORT_9000_TCP_PROTO": "tcp",
        f"{name}_PORT_9000_TCP_PORT": "9000",
        f"{name}_PORT_9000_TCP_ADDR": "10.0.0.1",
    }


@pytest.mark.parametrize("service", ["jobstream", "jobstream-exporter", "jobstream-kafka", "other"])
def test_services_that_hide_no_setting_are_passed_over(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert Settings.load(announced(service)) == Settings.load({})
    assert not caplog.records


@pytest.mark.parametrize("name", [option_name(of).upper() for of in fields(Settings)])
def test_a_service_never_makes_a_setting(name: str) -> None:
    assert Settings.load(announced(f"jobstream-{name}")) == Settings.load({})


def test_a_service_that_hides_a_setting_is_told_in_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings.load(announced("jobstream-metrics") | announced("jobstream-exporter"))

    assert settings.metrics_port == 0
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("JOBSTREAM_METRICS_PORT announces a service")
    assert "enableServiceLinks: false" in record.getMessage()


def test_a_port_that_only_looks_a_little_like_it_is_still_refused() -> None:
    with pytest.raises(ConfigError, match="is not a port"):
        Settings.load({"JOBSTREAM_METRICS_PORT": "tcp"})


def test_a_protection_switched_off_warns(caplog: pytest.LogCaptureFixture) -> None:
    Settings.load({}, kafka={"enable.ssl.certificate.verification": False})

    assert "anybody can pose as the broker" in caplog.text


def test_client_options_carry_the_address_and_what_was_let_through() -> None:
    settings = Settings.load(
        {"JOBSTREAM_KAFKA_SECURITY_PROTOCOL": "ssl"},
        bootstrap_servers="b:1",
        kafka={
            "socket.keepalive.enable": True,
            "client.id": "mine",
            "reconnect.backoff.max.ms": 500,
        },
    )

    assert settings.client_options() == {
        "bootstrap.servers": "b:1",
        "client.id": "mine",
        "socket.connection.setup.timeout.ms": "10000",
        "reconnect.backoff.max.ms": "500",
        "logger": logging.getLogger("jobstream.client"),
        "security.protocol": "ssl",
        "socket.keepalive.enable": "true",
    }


def test_a_secret_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    canary = "canary-5f1e"
    secrets = {
        "sasl.password": canary,
        "ssl.key.pem": canary,
        "ssl.key.password": canary,
        "ssl.keystore.password": canary,
        "sasl.oauthbearer.client.secret": canary,
        "sasl.oauthbearer.config": canary,
        "sasl.oauthbearer.assertion.private.key.passphrase": canary,
    }

    settings = Settings.load({}, kafka=secrets)

    shown = f"{settings!r} {settings} {settings.kafka} {asdict(settings)!r} {caplog.text}"
    assert canary not in shown
    assert settings.client_options().items() >= secrets.items()


def test_settings_reach_another_process_unchanged() -> None:
    settings = Settings.load({}, kafka={"sasl.password": "x"})

    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own bytes
    assert copy.deepcopy(settings) == settings
    assert hash(settings) == hash(copy.deepcopy(settings))


def test_the_page_lists_every_setting_with_its_default() -> None:
    page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|[^|]+\|[^|]+\|$", page, re.MULTILINE))

    expected = {}
    for of in fields(Settings):
        default = of.metadata.get("default", "")
        expected[option_name(of)] = f"`{default}`" if default else None
    assert rows.keys() == expected.keys()
    assert not {name: rows[name] for name, text in expected.items() if text and rows[name] != text}
