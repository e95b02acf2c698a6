"""Options passed through to the Kafka client but for those that break a promise, and the brokers.

What runs code, and what the guarantees stand on, is refused with its reason. A name or a value that
the client library does not know, it refuses itself, when the first client is made: see
`construct.py`. This connects to nothing and reads no file.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENV_PREFIX = "JOBSTREAM_KAFKA_"
MASK = "***"

DEFAULTS: Mapping[str, str] = {
    "client.id": "jobstream",
    # The library's own are made for outages, half a minute and ten seconds. Partitions of a host
    # that died stand still for as long as somebody waits for it, or for one that is back.
    "socket.connection.setup.timeout.ms": "10000",
    "reconnect.backoff.max.ms": "1000",
}
"""What every client is made with unless somebody chose another value."""

PORT_MAX = 65_535
_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^\s:/\[\],]+))(?::(?P<port>\S*))?"
)

_SECRET = re.compile(r"password|passphrase|secret|jaas|\.pem$|[._]key$|oauthbearer\.(config|token)")
"""Names whose values are never shown: passwords, keys, and texts that can hold either."""

_REFUSED = {
    "it loads foreign code into the process; give keys by ssl.key.* or ssl.keystore.*": (
        "plugin.library.paths ssl.engine.* ssl.providers"
    ),
    "a shell runs it; use sasl.kerberos.keytab and .principal": "sasl.kerberos.kinit.cmd",
    "callbacks, acknowledgements and signals belong to jobstream; use its logs, App.on_failure, or "
    "sasl.oauthbearer.method=oidc": "*_cb on_* enabled_events internal.termination.signal",
    "the client's log is the logger jobstream.client; give that one handlers": "logger log.queue",
    "give the option by its own name": "default.topic.config",
    "offsets move only after a job is settled; there is nothing to choose": (
        "enable.auto.* auto.* offset.* enable.partition.eof"
    ),
    "a job of a transaction that was aborted must not run": "isolation.level",
    "an enqueue returns only what all in-sync copies hold; there is nothing to choose": (
        "acks request.required.acks enable.idempotence delivery.report.only.error transactional.id"
    ),
    "one refused record would end the producer of all others": "enable.gapless.guarantee",
    "a record given up early may be written all the same; use enqueue_timeout": (
        "message.timeout.ms delivery.timeout.ms message.send.max.retries retries"
    ),
    "a key must reach the same partition from every client and language": "partitioner",
    "jobs of a key start in their order; there is nothing to choose": "queuing.strategy",
    "jobstream batches, and bounds what waits in memory; use window or concurrency": (
        "queue.buffering.* linger.ms queued.* fetch.queue.backoff.ms fetch.wait.max.ms"
    ),
    "topics are made by jobstream topics apply MODULE:APP, and every client must see them": (
        "allow.auto.create.topics topic.blacklist"
    ),
    "records need headers and idempotence, which a client for old brokers leaves out": (
        "api.version.request api.version.fallback.ms broker.version.fallback"
    ),
    "a cluster that the client makes up keeps no job; use jobstream.testing": "test.*",
    "use group_protocol or JOBSTREAM_GROUP_PROTOCOL": "group.protocol",
    "groups are named after the app, and partitions move one by one; name the app": (
        "group.* partition.assignment.strategy"
    ),
    "use session_timeout or JOBSTREAM_SESSION_TIMEOUT": "session.timeout.ms",
    "use heartbeat or JOBSTREAM_HEARTBEAT": "heartbeat.interval.ms",
    "use rebalance_drain or JOBSTREAM_REBALANCE_DRAIN": "max.poll.interval.ms",
    "use bootstrap_servers or JOBSTREAM_BOOTSTRAP_SERVERS": (
        "bootstrap.servers metadata.broker.list"
    ),
    "use enqueue_bytes_max or JOBSTREAM_ENQUEUE_BYTES_MAX": "message.max.bytes",
}
DENIED = [(name, reason) for reason, names in _REFUSED.items() for name in names.split()]
"""Pattern of a name → which promise it would break, or what to use instead. The first counts."""

_RISKS = {
    ("enable.ssl.certificate.verification", "false"): "anybody can pose as the broker",
    ("ssl.endpoint.identification.algorithm", "none"): "any certificate passes for the broker's",
    ("enable.sasl.oauthbearer.unsecure.jwt", "true"): "tokens are not signed",
}
_BOOLEANS = {"0": "false", "f": "false", "1": "true", "t": "true"}
"""How the client lets them be spelled, too."""
# The client puts these into the command line of a shell (its default for kinit).
_IN_A_SHELL = frozenset(
    ("sasl.kerberos.keytab", "sasl.kerberos.principal", "sasl.kerberos.service.name")
)
_SHELL_SAFE = re.compile(r"[\w./@:+=,-]+", re.ASCII)


def is_secret(name: str) -> bool:
    """Whether the option of that name holds what must not be shown."""
    return _SECRET.search(name) is not None


class ClientOptions:
    """Checked options for the Kafka client. Never shows a secret; can be pickled and compared.

    No dataclass, since `dataclasses.asdict` of what holds it would spell the secrets out.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: tuple[tuple[str, str], ...] = ()) -> None:
        self._pairs = pairs

    def __repr__(self) -> str:
        shown = {name: MASK if is_secret(name) else value for name, value in self._pairs}
        return f"ClientOptions({shown!r})"

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, ClientOptions) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._pairs)

    def reveal(self) -> dict[str, str]:
        """Names and values, secrets included: for the client's constructor, never for a log."""
        return dict(self._pairs)

    def risks(self) -> Iterator[tuple[str, str]]:
        """(option, what it gives away) for each option that switches a protection off."""
        for name, value in self._pairs:
            risk = _RISKS.get((name, _BOOLEANS.get(value.lower(), value.lower())))
            if risk is not None:
                yield f"{name}={value}", risk


def read_client_options(environ: Mapping[str, str], given: Mapping[str, object]) -> ClientOptions:
    """Options of `JOBSTREAM_KAFKA_*`, overridden by `given`; raises ConfigError for a refused one.

    The error names the option, why it is refused and what to use; it shows no secret.
    """
    options = {**_from_environ(environ), **given}
    return ClientOptions(tuple((name, _checked(name, options[name])) for name in sorted(options)))


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for variable, value in environ.items():
        suffix = variable.removeprefix(ENV_PREFIX)
        if suffix == variable or not value:
            continue
        # The one name of the library's, callbacks left aside, that has no dots.
        name = "log_level" if suffix == "LOG_LEVEL" else suffix.lower().replace("_", ".")
        found[name] = value
    return found


def _checked(name: str, value: object) -> str:
    _refuse_denied(name)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str | int | float) or not text:
        message = (
            f"kafka option {name!r} has a value of {type(value).__name__}: use text or a number"
        )
        raise ConfigError(message)
    if name in _IN_A_SHELL and not _SHELL_SAFE.fullmatch(text):
        message = (
            f"kafka option {name!r} is refused: the client's kinit puts it into a shell "
            "command; use letters, digits and . / @ : + = , _ - only"
        )
        raise ConfigError(message)
    return text


def _refuse_denied(name: str) -> None:
    # The client takes the options of a topic with this prefix, too.
    names = (str(name), str(name).removeprefix("topic."))
    for pattern, reason in DENIED:
        if any(fnmatchcase(each, pattern) for each in names):
            message = f"kafka option {name!r} is refused: {reason}"
            raise ConfigError(message)


def read_brokers(name: str, value: object) -> str:
    """The addresses of brokers, joined by commas alone; raises ConfigError with the fix.

    The library takes nearly any text: of a port beyond 65535 it drops the high bits and dials
    another one, and a text that names no broker is one that never answers.
    """
    if isinstance(value, list | tuple | set | frozenset):
        message = f"{name}={value!r} is not a text: join them by commas, as in 'a:9092,b:9092'"
        raise ConfigError(message)
    if not isinstance(value, str) or not value.strip():
        message = f"{name}={value!r} is not a text: write host:port,host:port"
        raise ConfigError(message)
    each = [part.strip() for part in value.split(",")]
    for part in each:
        if fault := _fault_of(part):
            message = f"{name}={value!r}: {fault}"
            raise ConfigError(message)
    return ",".join(each)


def _fault_of(part: str) -> str:
    """What is wrong with one address, and the fix; "" if nothing."""
    if not part:
        return "an address between the commas is empty: write host:port,host:port"
    if "://" in part:
        rest = part.partition("://")[2] or "host:port"
        return (
            f"{part!r} has a scheme: write {rest!r}, and set TLS and sign-in by client options, "
            "as JOBSTREAM_KAFKA_SECURITY_PROTOCOL"
        )
    found = _ADDRESS.fullmatch(part)
    if found is None:
        if part.count(":") > 1:
            return f"{part!r} is not host:port; write IPv6 in brackets, as in [::1]:9092"
        return f"{part!r} is not host:port"
    port = found["port"]
    if port is None:
        return ""
    # Few digits, for int() refuses thousands of them.
    is_number = port.isascii() and port.isdigit() and len(port) <= len(str(PORT_MAX))
    if is_number and 1 <= int(port) <= PORT_MAX:
        return ""
    return f"{port!r} is not a port: write one from 1 to {PORT_MAX}"
