"""`jobstream dev`: a broker, the topics and every role, in one terminal, until Ctrl-C."""

from __future__ import annotations

import json
import re
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.exits import UNSAFE
from jobstream.cli.logs import LEVELS, configure
from jobstream.cli.output import say
from jobstream.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.app import App
    from jobstream.cli.app_name import AppName
    from jobstream.cli.supervisor import Child
    from jobstream.settings import Settings

ROLES = ("worker", "delayer", "exporter")
WORKER_ROLES = ("worker", "delayer")
_LOCAL = re.compile(r"(127\.0\.0\.1|localhost):(\d{1,5})")


@click.command(cls=AppCommand)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def command(app: AppName, *, log_level: str) -> int:
    """Run everything MODULE:APP needs on this machine, for development.

    Uses the broker at JOBSTREAM_BOOTSTRAP_SERVERS if one answers there, else starts one on that
    port and stops it at the end; its data stays for the next time. Applies the topics. Ctrl-C
    drains the workers, then stops the broker; a second one does not wait for the drain.
    """
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - with the command only
    from jobstream.cli.supervisor import supervise  # noqa: PLC0415 - with the command only
    from jobstream.cli.worker import leave_s  # noqa: PLC0415 - likewise
    from jobstream.green import refuse_green_threads  # noqa: PLC0415 - likewise

    never_fail()
    configure("plain", "warning")
    loaded = load_app(app)
    refuse_green_threads()  # its worker would, and itself it would hear no Ctrl-C
    with _broker(loaded.settings.bootstrap_servers):
        code = _apply_topics(loaded)
        if code:
            return code
        _tell_how(loaded, app)
        return supervise(_roles(app, log_level, loaded.settings), leave_s(loaded.settings))


@contextmanager
def _broker(servers: str) -> Iterator[None]:
    """A broker at that address: the one that answers, or one of our own for as long as needed."""
    from jobstream.broker.ready import serves  # noqa: PLC0415 - with the command only

    if serves(servers):
        say(f"broker  | using the one at {servers}")
        yield
        return
    local = _LOCAL.fullmatch(servers)
    if local is None:
        message = (
            f"no broker answers at {servers}, and one can be started here only at "
            "127.0.0.1:PORT: set JOBSTREAM_BOOTSTRAP_SERVERS"
        )
        raise BrokerUnavailable(message)
    from jobstream.broker import EmbeddedKafka  # noqa: PLC0415 - with the command only
    from jobstream.broker.places import broker_state_directory  # noqa: PLC0415 - likewise

    say(f"broker  | starting at {servers} (the first time it downloads Kafka)")
    directory = broker_state_directory() / "nodes-1"
    with EmbeddedKafka(port=int(local[2]), directory=directory) as kafka:
        say(f"broker  | up at {kafka.bootstrap_servers}, data and logs in {directory}")
        yield
        say("broker  | stopping")


def _apply_topics(app: App) -> int:
    """Create what is missing; the exit code if something unsafe is in the way."""
    from jobstream.cli.topics import survey_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream.kafka.admin import Admin  # noqa: PLC0415 - likewise
    from jobstream.kafka.apply import apply  # noqa: PLC0415 - likewise
    from jobstream.kafka.topic_rules import alike  # noqa: PLC0415 - likewise

    admin = Admin(app.settings)
    planned = survey_app(app, admin)
    if planned.refused:
        for difference in alike(planned.refused):
            say(f"topics  | ! {difference}")
        return UNSAFE
    apply(planned, admin)
    say(f"topics  | {len(planned.create)} created, {len(planned.unchanged)} as they should be")
    return 0


def _tell_how(app: App, named: AppName) -> None:
    from jobstream.cli.sample import sample_args  # noqa: PLC0415 - with the command only

    say("dev     | enqueue from another terminal; Ctrl-C here stops everything")
    enqueue = " ".join(("jobstream enqueue", *named.words))
    for job in app.jobs.values():
        text = json.dumps(sample_args(job.codec.cls), ensure_ascii=False)
        say(f"dev     |   {enqueue} {job.name} {shlex.quote(text)}")


def _roles(app: AppName, log_level: str, settings: Settings) -> list[Child]:
    from jobstream.cli.supervisor import Child  # noqa: PLC0415 - with the command only
    from jobstream.cli.worker import port_of  # noqa: PLC0415 - likewise

    options = ["--log", "plain", "--log-level", log_level]
    children = []
    for number, role in enumerate(ROLES):
        words = [sys.executable, "-m", "jobstream"]
        if role in WORKER_ROLES:
            words += ["worker", *app.words, "--supervised", "--only", role, "--tracebacks"]
        else:
            words += [role, *app.words]
        # By the option, which holds over a port that the code gives to all of them.
        words += ["--metrics-port", port_of(settings, number)]
        children.append(Child([*words, *options], f"{role:<8}| "))
    return children
