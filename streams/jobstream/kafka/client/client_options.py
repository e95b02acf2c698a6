"""Options passed through to the Kafka client, but for those that would break a promise.

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

_SECRET = re.compile(r"password|passphrase|secret|\.pem$|oauthbearer\.(config|token)")
"""Names whose values are never shown: passwords, keys, and texts that can hold either."""

_LOADS_CODE = "it loads foreign code into the process; give keys by ssl.key.* or ssl.keystore.*"
_ACKNOWLEDGED = "an enqueue returns only what all in-sync copies hold; there is nothing to choose"
_GIVEN_UP = "a record given up early may be written all the same; use enqueue_timeout"
_OFFSETS = "offsets move only after a job is settled; there is nothing to choose"
_ORDER = "jobs of a key start in their order; there is nothing to choose"
_MEMORY = "jobstream bounds what waits in memory; use window or concurrency"
_OLD_BROKERS = "records need headers and idempotence, which a client for old brokers leaves out"
_SIGHT = "a topic of the app that a client does not see is one whose jobs do not run"
DENIED = (
    ("plugin.library.paths", "it loads foreign code into the process; there is no substitute"),
    ("ssl.engine.*", _LOADS_CODE),
    ("ssl.providers", _LOADS_CODE),
    ("sasl.kerberos.kinit.cmd", "a shell runs it; use sasl.kerberos.keytab and .principal"),
    ("*_cb", "callbacks belong to jobstream; use its logs, or sasl.oauthbearer.method=oidc"),
    ("on_*", "callbacks belong to jobstream; use App.on_failure"),
    ("logger", "the client's log is the logger jobstream.client; give that one handlers"),
    ("log.queue", "the client's log is the logger jobstream.client; give that one handlers"),
    ("enabled_events", "acknowledgements come by another way than the one it opens"),
    ("internal.termination.signal", "signals ask a process to drain and leave"),
    ("default.topic.config", "give the option by its own name"),
    ("enable.auto.*", _OFFSETS),
    ("auto.*", _OFFSETS),
    ("offset.*", _OFFSETS),
    ("enable.partition.eof", _OFFSETS),
    ("isolation.level", "a job of a transaction that was aborted must not run"),
    ("acks", _ACKNOWLEDGED),
    ("request.required.acks", _ACKNOWLEDGED),
    ("enable.idempotence", _ACKNOWLEDGED),
    ("delivery.report.only.error", _ACKNOWLEDGED),
    ("enable.gapless.guarantee", "one refused record would end the producer of all others"),
    ("transactional.id", "publishing before committing makes transactions needless"),
    ("message.timeout.ms", _GIVEN_UP),
    ("delivery.timeout.ms", _GIVEN_UP),
    ("message.send.max.retries", _GIVEN_UP),
    ("retries", _GIVEN_UP),
    ("partitioner", "a key must reach the same partition from every client and language"),
    ("queuing.strategy", _ORDER),
    ("queue.buffering.*", _MEMORY),
    ("linger.ms", "jobstream sends what it has at once, and in batches under load"),
    ("queued.*", _MEMORY),
    ("fetch.queue.backoff.ms", "a wait after a full queue would leave slots empty"),
    ("fetch.wait.max.ms", "a longer wait would hold up pauses, stops and handovers"),
    ("allow.auto.create.topics", "a topic made by a broker's defaults loses jobs; apply topics"),
    ("topic.blacklist", _SIGHT),
    ("api.version.request", _OLD_BROKERS),
    ("api.version.fallback.ms", _OLD_BROKERS),
    ("broker.version.fallback", _OLD_BROKERS),
    ("test.*", "a cluster that the client makes up keeps no job; use jobstream.testing"),
    ("group.protocol", "use group_protocol or JOBSTREAM_GROUP_PROTOCOL"),
    ("group.*", "groups are named after the app; name the app"),
    ("partition.assignment.strategy", "partitions must move one by one; use group_protocol"),
    ("session.timeout.ms", "use session_timeout or JOBSTREAM_SESSION_TIMEOUT"),
    ("heartbeat.interval.ms", "use heartbeat or JOBSTREAM_HEARTBEAT"),
    ("max.poll.interval.ms", "use rebalance_drain or JOBSTREAM_REBALANCE_DRAIN"),
    ("bootstrap.servers", "use bootstrap_servers or JOBSTREAM_BOOTSTRAP_SERVERS"),
    ("metadata.broker.list", "use bootstrap_servers or JOBSTREAM_BOOTSTRAP_SERVERS"),
    ("message.max.bytes", "use enqueue_bytes_max or JOBSTREAM_ENQUEUE_BYTES_MAX"),
)
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
    for pattern, reason in DENIED:
        if fnmatchcase(str(name), pattern):
            message = f"kafka option {name!r} is refused: {reason}"
            raise ConfigError(message)
