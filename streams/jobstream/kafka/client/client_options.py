"""Options passed through to the Kafka client: an allow-list, with the reason for each refusal.

What is let through concerns the connection: TLS, SASL, addresses, timeouts, diagnosis. What runs
code, and what the guarantees stand on, is refused. It connects to nothing and reads no file.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENV_PREFIX = "JOBSTREAM_KAFKA_"
MASK = "***"

_TLS = """
security.protocol ssl.cipher.suites ssl.curves.list ssl.sigalgs.list ssl.key.location
ssl.key.password ssl.key.pem ssl.certificate.location ssl.certificate.pem ssl.ca.location
ssl.ca.pem ssl.crl.location ssl.keystore.location ssl.keystore.password
enable.ssl.certificate.verification ssl.endpoint.identification.algorithm https.ca.location
https.ca.pem
"""
_SASL = """
sasl.mechanism sasl.mechanisms sasl.username sasl.password sasl.kerberos.service.name
sasl.kerberos.principal sasl.kerberos.keytab sasl.kerberos.min.time.before.relogin
sasl.oauthbearer.method sasl.oauthbearer.config sasl.oauthbearer.client.id
sasl.oauthbearer.client.secret sasl.oauthbearer.scope sasl.oauthbearer.extensions
sasl.oauthbearer.token.endpoint.url sasl.oauthbearer.grant.type
sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.private.key.file
sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem
sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.claim.aud
sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.jwt.template.file
sasl.oauthbearer.metadata.authentication.type enable.sasl.oauthbearer.unsecure.jwt
"""
_CONNECTION = """
client.id client.rack client.dns.lookup broker.address.family broker.address.ttl
socket.timeout.ms socket.connection.setup.timeout.ms socket.keepalive.enable
socket.nagle.disable socket.send.buffer.bytes socket.receive.buffer.bytes
connections.max.idle.ms reconnect.backoff.ms reconnect.backoff.max.ms metadata.max.age.ms
topic.metadata.refresh.interval.ms metadata.recovery.strategy
metadata.recovery.rebootstrap.trigger.ms
"""
_DIAGNOSIS = "debug log_level log.connection.close statistics.interval.ms"

DEFAULTS: Mapping[str, str] = {
    "client.id": "jobstream",
    # The library's own are made for outages, half a minute and ten seconds. Partitions of a host
    # that died stand still for as long as somebody waits for it, or for one that is back.
    "socket.connection.setup.timeout.ms": "10000",
    "reconnect.backoff.max.ms": "1000",
}
"""What every client is made with unless somebody chose another value."""

ALLOWED = frozenset((_TLS + _SASL + _CONNECTION + _DIAGNOSIS).split())
SECRETS = frozenset(
    name
    for name in ALLOWED
    if re.search(r"password|passphrase|secret|\.pem$|oauthbearer\.(config|token)", name)
)
"""Their values are never shown: passwords, keys, and texts that can hold either."""

_LOADS_CODE = "it loads foreign code into the process; give keys by ssl.key.* or ssl.keystore.*"
_ACKNOWLEDGED = "an enqueue returns only what all in-sync copies hold; there is nothing to choose"
_OFFSETS = "offsets move only after a job is settled; there is nothing to choose"
DENIED = (
    ("plugin.library.paths", "it loads foreign code into the process; there is no substitute"),
    ("ssl.engine.*", _LOADS_CODE),
    ("ssl.providers", _LOADS_CODE),
    ("sasl.kerberos.kinit.cmd", "a shell runs it; use sasl.kerberos.keytab and .principal"),
    ("*_cb", "callbacks belong to jobstream; use its logs, or sasl.oauthbearer.method=oidc"),
    ("enable.auto.*", _OFFSETS),
    ("auto.*", _OFFSETS),
    ("acks", _ACKNOWLEDGED),
    ("request.required.acks", _ACKNOWLEDGED),
    ("enable.idempotence", _ACKNOWLEDGED),
    ("transactional.id", "publishing before committing makes transactions needless"),
    ("partitioner", "a key must reach the same partition from every client and language"),
    ("group.protocol", "use group_protocol or JOBSTREAM_GROUP_PROTOCOL"),
    ("group.*", "groups are named after the app; name the app"),
    ("partition.assignment.strategy", "partitions must move one by one; use group_protocol"),
    ("session.timeout.ms", "use session_timeout or JOBSTREAM_SESSION_TIMEOUT"),
    ("heartbeat.interval.ms", "use heartbeat or JOBSTREAM_HEARTBEAT"),
    ("bootstrap.servers", "use bootstrap_servers or JOBSTREAM_BOOTSTRAP_SERVERS"),
    ("metadata.broker.list", "use bootstrap_servers or JOBSTREAM_BOOTSTRAP_SERVERS"),
    ("message.max.bytes", "use enqueue_bytes_max or JOBSTREAM_ENQUEUE_BYTES_MAX"),
)
"""Pattern of a name → why it is refused and what to use instead. The first that fits counts."""

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
_BY_VARIABLE = {name.upper().replace(".", "_"): name for name in ALLOWED}


class ClientOptions:
    """Checked options for the Kafka client. Never shows a secret; can be pickled and compared.

    No dataclass, since `dataclasses.asdict` of what holds it would spell the secrets out.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: tuple[tuple[str, str], ...] = ()) -> None:
        self._pairs = pairs

    def __repr__(self) -> str:
        shown = {name: MASK if name in SECRETS else value for name, value in self._pairs}
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
        name = _BY_VARIABLE.get(suffix, suffix.lower().replace("_", "."))
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
    if name in ALLOWED:
        return
    for pattern, reason in DENIED:
        if fnmatchcase(str(name), pattern):
            message = f"kafka option {name!r} is refused: {reason}"
            raise ConfigError(message)
    near = get_close_matches(str(name), ALLOWED, n=1)
    advice = f"did you mean {near[0]!r}?" if near else "docs/reference/settings.md lists them"
    message = f"kafka option {name!r} is not on the list of options let through: {advice}"
    raise ConfigError(message)
