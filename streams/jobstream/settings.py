"""Settings of an app: read from `JOBSTREAM_*` variables, overridden by arguments, then frozen.

The only module of the main path that names an environment variable. Each default and limit stands
here, in one place.
"""

from __future__ import annotations

import logging
import os
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from jobstream.errors import ConfigError
from jobstream.kafka.client.client_log import client_log
from jobstream.kafka.client.client_options import (
    DEFAULTS,
    ENV_PREFIX,
    ClientOptions,
    read_brokers,
    read_client_options,
)
from jobstream.service_links import without_service_links
from jobstream_processors.core.duration import Duration, to_ms, to_text
from jobstream_processors.core.headers import RELEASE_BYTES_MAX
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Self, Unpack

log = logging.getLogger("jobstream.settings")

PREFIX = "JOBSTREAM_"
GroupProtocol = Literal["consumer", "classic"]
ENQUEUE_BYTES_MAX = 900_000
"""A copy of a job carries headers and must still fit a record of a million bytes."""
# Read by other rooms (the embedded broker, its fixtures, docker-compose.yml).
_READ_ELSEWHERE = frozenset(
    ("CACHE_DIR", "TEST_BOOTSTRAP", "APP", "CODE", "DATABASE", "VIEWS_DATABASE")
)
_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000


class Overrides(TypedDict, total=False):
    """Arguments that override the environment; None means: not given."""

    bootstrap_servers: str | None
    state_dir: str | Path | None
    group_protocol: GroupProtocol | None
    session_timeout: Duration | None
    heartbeat: Duration | None
    enqueue_timeout: Duration | None
    drain: Duration | None
    rebalance_drain: Duration | None
    concurrency: int | None
    window: int | None
    commit_interval: Duration | None
    enqueue_bytes_max: int | None
    replication: int | None
    children: int | None
    metrics_host: str | None
    metrics_port: int | str | None
    tracing: bool | str | None
    django: bool | str | None
    allow_undecodable: bool | str | None
    release: str | None
    kafka: Mapping[str, str | int | float | bool] | None


def _option(
    default: str, read: Callable[[str, object], object], name: str = ""
) -> dict[str, object]:
    return {"default": default, "read": read, "name": name}


def _release(name: str, value: object) -> str | None:
    text = value.strip() if isinstance(value, str) else "\n"
    if not text:
        return None
    if text.isprintable() and len(text.encode()) <= RELEASE_BYTES_MAX:
        return text
    message = (
        f"{name}={value!r} is not a release: write a version or a commit, as in 2026.1.3, in "
        f"{RELEASE_BYTES_MAX} bytes at most"
    )
    raise ConfigError(message)


def _host(name: str, value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if text:
        return text
    message = f"{name}={value!r} is not an address of this machine: write 127.0.0.1 or 0.0.0.0"
    raise ConfigError(message)


def read_port(name: str, value: object) -> int | None:
    """A port, 0 for any free one, None for "off"; raises ConfigError."""
    if isinstance(value, str) and value.strip() == "off":
        return None
    try:
        return _count(0, 65_535)(name, value)
    except ConfigError as error:
        message = f"{name}={value!r} is not a port: use 0 (any free one) to 65535, or 'off'"
        raise ConfigError(message) from error


def _switch(name: str, value: object) -> bool:
    text = value.strip() if isinstance(value, str) else value
    if text is True or text == "on":
        return True
    if text is False or text == "off":
        return False
    message = f"{name}={value!r} is neither: use 'on' or 'off'"
    raise ConfigError(message)


def _protocol(name: str, value: object) -> str:
    if value in {"consumer", "classic"}:
        return str(value)
    message = f"{name}={value!r} is not a group protocol: use 'consumer' or 'classic'"
    raise ConfigError(message)


def _folder(name: str, value: object) -> Path:
    if isinstance(value, str | Path):
        try:
            return Path(value).expanduser().absolute()
        except RuntimeError as error:
            message = f"{name}={value!r} has no home directory to start from: give a full path"
            raise ConfigError(message) from error
    message = f"{name}={value!r} is not a path"
    raise ConfigError(message)


def _ms(least: int, most: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        try:
            return to_ms(cast("Duration", value), name=name, least_ms=least, most_ms=most)
        except InvalidOption as error:
            raise ConfigError(str(error)) from error.__cause__

    return read


def _count(least: int, most: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        digits = value.strip() if isinstance(value, str) else ""
        number = int(digits) if digits.isdecimal() and digits.isascii() else value
        if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
            return number
        message = f"{name}={value!r} is not a whole number from {least} to {most}"
        raise ConfigError(message)

    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one app in one process, checked. Made by `Settings.load`."""

    bootstrap_servers: str = field(metadata=_option("127.0.0.1:9092", read_brokers))
    """Some of the brokers, as `host:port,host:port`; IPv6 in brackets."""
    state_dir: Path = field(metadata=_option("", _folder))
    """Where this machine keeps the local part of the dedup tables; can be rebuilt from Kafka."""
    group_protocol: GroupProtocol = field(metadata=_option("consumer", _protocol))
    """`consumer` (KIP-848), or `classic` for brokers without it."""
    session_timeout_ms: int = field(metadata=_option("6s", _ms(1_000, _HOUR_MS), "session_timeout"))
    """How long a silent worker is waited for before its partitions go to another one."""
    heartbeat_ms: int = field(metadata=_option("1s", _ms(100, _HOUR_MS), "heartbeat"))
    """How often a worker tells that it is alive; also the pace of a rebalance."""
    enqueue_timeout_ms: int = field(
        metadata=_option("5s", _ms(1, 10 * _MINUTE_MS), "enqueue_timeout")
    )
    """How long an enqueue waits for its acknowledgement."""
    drain_ms: int = field(metadata=_option("25s", _ms(0, _HOUR_MS), "drain"))
    """How long a stopping worker lets running jobs end; Kubernetes kills after 30 s."""
    rebalance_drain_ms: int = field(metadata=_option("60s", _ms(0, _HOUR_MS), "rebalance_drain"))
    """How long jobs of a partition that moves to another worker may go on before they are cut."""
    concurrency: int = field(metadata=_option("200", _count(1, 100_000)))
    """Jobs that run at once in a process."""
    window: int = field(metadata=_option("10000", _count(1, 1_000_000)))
    """Unfinished jobs of one partition at once."""
    commit_interval_ms: int = field(
        metadata=_option("1s", _ms(10, 10 * _MINUTE_MS), "commit_interval")
    )
    """How often offsets are committed; a crash repeats no job that has its row, only reads."""
    enqueue_bytes_max: int = field(
        metadata=_option(str(ENQUEUE_BYTES_MAX), _count(1_000, ENQUEUE_BYTES_MAX))
    )
    """The largest encoded job that an enqueue takes."""
    replication: int | None = field(metadata=_option("", _count(1, 32_767)))
    """Copies of each topic; None: one per broker, at most three."""
    children: int | None = field(metadata=_option("", _count(1, 1_000)))
    """Processes for CPU-bound jobs; None: as many as the cores that it may use, at least 2."""
    metrics_host: str = field(metadata=_option("127.0.0.1", _host))
    """The address on which a process answers for metrics and probes."""
    metrics_port: int | None = field(metadata=_option("0", read_port))
    """Its port there; 0: any free one, None ("off"): none at all."""
    tracing: bool = field(metadata=_option("off", _switch))
    """Whether enqueues and runs make OpenTelemetry spans, and jobs carry their context."""
    django: bool = field(metadata=_option("on", _switch))
    """Whether a worker runs each job between Django's request signals, where Django is set up."""
    allow_undecodable: bool = field(metadata=_option("off", _switch))
    """Whether a worker starts though jobs wait that its code can't read."""
    release: str | None = field(metadata=_option("", _release))
    """Which release of the code this is: its dead letters name it. None: nobody says."""
    kafka: ClientOptions = field(default_factory=ClientOptions)
    """Options passed through to the Kafka client; secrets are not shown."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Unpack[Overrides]) -> Self:
        """Settings of `environ` (None: this process's), each overridden by an argument.

        Raises ConfigError for a refused value, naming it. Warns in the log of variables that
        nothing reads, and of client options that switch a protection off.
        """
        env, links = without_service_links(os.environ if environ is None else environ, PREFIX)
        given = {name: value for name, value in overrides.items() if value is not None}
        kafka = read_client_options(env, cast("Mapping[str, object]", given.pop("kafka", {})))
        values: dict[str, Any] = {f.name: _value(f, env, given) for f in fields(cls) if f.metadata}
        if given:
            message = f"no such setting: {', '.join(sorted(given))}; there are {_names()}"
            raise ConfigError(message)
        settings = cls(**values, kafka=kafka)
        if settings.heartbeat_ms >= settings.session_timeout_ms:
            message = (
                f"heartbeat={to_text(settings.heartbeat_ms)} must be shorter than "
                f"session_timeout={to_text(settings.session_timeout_ms)}: a sixth of it is usual"
            )
            raise ConfigError(message)
        _warn(env, links, kafka)
        return settings

    def client_options(self) -> dict[str, Any]:
        """The options of every Kafka client. They hold secrets: never log or show them."""
        return {**DEFAULTS, **self.kafka.reveal()} | {
            "bootstrap.servers": self.bootstrap_servers,
            # What the client library has to say is a log record like any other.
            "logger": client_log(),
        }


def option_name(of: Field[Any]) -> str:
    """The name of a field as an argument; in capitals after `JOBSTREAM_`, its variable."""
    return of.metadata.get("name") or of.name


def _value(of: Field[Any], env: Mapping[str, str], given: dict[str, Any]) -> object:
    name = option_name(of)
    variable = PREFIX + name.upper()
    read: Callable[[str, object], object] = of.metadata["read"]
    if name in given:
        return read(name, given.pop(name))
    if env.get(variable):
        return read(variable, env[variable])
    if name == "state_dir":
        return _folder(name, _default_state_dir(env))
    default = of.metadata["default"]
    return read(name, default) if default else None


def _default_state_dir(env: Mapping[str, str]) -> Path:
    base = env.get("XDG_STATE_HOME")
    return Path(base or "~/.local/state", "jobstream")


def _names() -> str:
    return ", ".join(option_name(of) for of in fields(Settings))


def _warn(env: Mapping[str, str], links: Collection[str], kafka: ClientOptions) -> None:
    for option, risk in kafka.risks():
        log.warning("kafka option %s: %s", option, risk, extra={"option": option})
    known = {option_name(of).upper() for of in fields(Settings)} | _READ_ELSEWHERE
    if hidden := sorted(known.intersection(link.removeprefix(PREFIX) for link in links)):
        variables = [PREFIX + name for name in hidden]
        log.warning(
            "%s announces a service of that name and is not read as a setting: set it in the pod "
            "itself, or enableServiceLinks: false",
            ", ".join(variables),
            extra={"variables": variables},
        )
    for variable in sorted(env):
        name = variable.removeprefix(PREFIX)
        if name == variable or variable.startswith(ENV_PREFIX) or name in known - {"KAFKA"}:
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
        log.warning(
            "variable %s is read by nothing: did you mean %s?",
            variable,
            PREFIX + near,
            extra={"variable": variable},
        )
