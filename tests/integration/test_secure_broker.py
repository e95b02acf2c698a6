"""A broker behind TLS and passwords: jobs run, and a mistake is told with its cause, in time."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, BrokerUnavailable, EnqueueTimeout
from jobstream.broker import EmbeddedKafka
from jobstream.broker import node as broker_node
from jobstream.broker.broker_settings import node_settings
from jobstream.broker.free_ports import choose_addresses
from jobstream.cli.root import root
from jobstream.exits import FAILURE
from jobstream.kafka.client import admin_calls as asking
from jobstream.roles.process import Roles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.kafka

USER, PASSWORD = "shop", "open-sesame"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
BOUND_S = 60.0
"""For an enqueue that waits for 2 s, or a worker's start or a command that asks for 3 s."""
LIMIT_S = 180.0


@dataclass(frozen=True)
class Receipt:
    order_id: str


@dataclass(frozen=True)
class Secure:
    """A listener with TLS and passwords, and the certificate that vouches for it."""

    address: str
    certificate: Path

    def environ(self, **others: str) -> dict[str, str]:
        """The variables of a client that may use it; `others` are added or take their place."""
        return {
            "JOBSTREAM_BOOTSTRAP_SERVERS": self.address,
            "JOBSTREAM_ENQUEUE_TIMEOUT": "2s",
            "JOBSTREAM_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
            "JOBSTREAM_KAFKA_SASL_MECHANISM": "PLAIN",
            "JOBSTREAM_KAFKA_SASL_USERNAME": USER,
            "JOBSTREAM_KAFKA_SASL_PASSWORD": PASSWORD,
            "JOBSTREAM_KAFKA_SSL_CA_LOCATION": str(self.certificate),
        } | others


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and a file of it with its key."""
    certificate, key, both = (folder / name for name in ("own.crt", "own.key", "own.pem"))
    openssl = shutil.which("openssl")
    assert openssl is not None, "this test makes a certificate with openssl"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=jobstream", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return certificate, both


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """A broker with a second listener, beside the one by which it is known to serve."""
    folder = tmp_path_factory.mktemp("secure")
    certificate, keystore = certified(folder)
    (free,) = choose_addresses(1, None)
    listener = f"SASL_SSL://{free.bootstrap}"

    def with_passwords(*args: object) -> dict[str, str]:
        settings = node_settings(*args)  # type: ignore[arg-type] # as it is called
        mapped = "listener.security.protocol.map"
        return settings | {
            "listeners": f"{settings['listeners']},{listener}",
            "advertised.listeners": f"{settings['advertised.listeners']},{listener}",
            mapped: f"{settings[mapped]},SASL_SSL:SASL_SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{LOGIN} user_{USER}="{PASSWORD}";',
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker_node, "node_settings", with_passwords)
        with EmbeddedKafka(directory=folder / "kafka"):
            yield Secure(free.bootstrap, certificate)


def app_with(environ: dict[str, str], folder: Path) -> App:
    """An app of its own, whose process has these variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        return App(f"secure-{uuid.uuid4().hex[:8]}", state_dir=folder / "state")


def test_a_worker_runs_what_was_enqueued(secure: Secure, tmp_path: Path) -> None:
    app = app_with(secure.environ(JOBSTREAM_ENQUEUE_TIMEOUT="60s"), tmp_path)
    ran: list[str] = []

    @app.job(queue=app.queue("mail", partitions=1))
    async def send_receipt(args: Receipt) -> None:
        ran.append(args.order_id)

    with Served(app) as served:
        assert served.end_of(send_receipt.enqueue(Receipt("o-1")).job_id) == "done"
        assert app.control.pause(queue="mail") in app.control.entries()

    assert ran == ["o-1"]


@pytest.mark.parametrize(
    ("mistake", "cause"),
    [
        ({"JOBSTREAM_KAFKA_SASL_PASSWORD": "wrong"}, "Authentication failed"),
        (
            {"JOBSTREAM_KAFKA_SECURITY_PROTOCOL": "plaintext"},
            "another security.protocol than plaintext",
        ),
        ({"JOBSTREAM_KAFKA_SSL_CA_LOCATION": ""}, "certificate verify failed"),
    ],
)
def test_a_mistake_is_told_with_its_cause(
    secure: Secure,
    tmp_path: Path,
    mistake: dict[str, str],
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "WAIT_S", 3.0)
    app = app_with(secure.environ(**mistake), tmp_path)

    @app.job(queue=app.queue("mail", partitions=1))
    async def send_receipt(args: Receipt) -> None: ...

    def enqueue() -> EnqueueTimeout:
        with pytest.raises(EnqueueTimeout) as caught:
            send_receipt.enqueue(Receipt("o-1"))
        return caught.value

    def serve() -> str:
        with pytest.raises(BrokerUnavailable) as caught:
            Roles(app).run()
        return str(caught.value)

    def pause() -> str:
        words = ["control", "pause", "--app", app.name, "--queue", "mail"]
        told = CliRunner().invoke(root, words, env=secure.environ(**mistake))
        assert told.exit_code == FAILURE
        return told.output

    # A broker that is busy may not come to its refusal before the first of them has given up.
    for tried in (lambda: str(enqueue()), serve, pause):
        wait_until(partial(told_with, cause, tried), f"{cause!r} is told", limit_s=LIMIT_S)

    error = enqueue()
    assert secure.address in str(error)
    assert PASSWORD not in str(error)
    assert not error.may_be_written
    app.close()


def told_with(cause: str, tried: Callable[[], str]) -> bool:
    """Whether what was tried told that cause, in time."""
    began = time.monotonic()
    told = tried()
    assert time.monotonic() - began < BOUND_S
    return re.search(cause, told) is not None
