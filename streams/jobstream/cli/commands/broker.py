"""`jobstream broker`: a Kafka on this machine that stays up between commands."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.options import json_option
from jobstream.cli.output import print_json, remark, say
from jobstream.exits import FAILURE, OK

if TYPE_CHECKING:
    from jobstream.broker import BrokerState


@click.group()
def command() -> None:
    """Run Kafka on this machine, without Docker and without a system Java."""


@command.command("up")
@click.option("--nodes", type=click.Choice(["1", "3"]), default="1", show_default=True,
              help="Number of brokers.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65_535), metavar="PORT",
              help="Port of the first node; the others take the ports after it.  "
                   "[default: the port in JOBSTREAM_BOOTSTRAP_SERVERS if its host is this "
                   "machine, else 9092]")  # fmt: skip
@json_option
def up_command(nodes: str, port: int | None, *, as_json: bool) -> int:
    """Start a broker, wait until it serves, and leave it running.

    The first start downloads Kafka (44 MB) and needs no system Java.
    """
    from jobstream.broker import up  # noqa: PLC0415 - with the command only
    from jobstream.broker.free_ports import local_port  # noqa: PLC0415 - as above
    from jobstream.broker.java_commands import DEFAULT_PORT  # noqa: PLC0415 - as above
    from jobstream.settings import Settings  # noqa: PLC0415 - as above

    # Where the other commands look for a broker.
    port = port or local_port(Settings.load().bootstrap_servers) or DEFAULT_PORT
    remark(f"starting {nodes} node{'s' if nodes != '1' else ''} on port {port}")
    state = up(int(nodes), port)
    if as_json:
        print_json(_document(state))
    else:
        say(f"up at {state.bootstrap_servers}; data and logs in {state.directory}")
    return OK


@command.command("down")
@json_option
def down_command(*, as_json: bool) -> int:
    """Stop the broker and keep its data."""
    from jobstream.broker import down  # noqa: PLC0415 - with the command only
    from jobstream.broker.data_places import broker_state_directory  # noqa: PLC0415 - as above

    stopped = down()
    if as_json:
        print_json({"stopped": stopped})
    else:
        say("stopped" if stopped else f"no broker was up in {broker_state_directory()}")
    return OK


@command.command("status")
@json_option
def status_command(*, as_json: bool) -> int:
    """Show whether the broker is up; the exit code is 1 if it is not."""
    from jobstream.broker import status  # noqa: PLC0415 - with the command only

    state = status()
    if as_json:
        print_json(_document(state) if state else {"running": 0})
    elif state is None:
        say("down")
    else:
        say(f"up at {state.bootstrap_servers} ({state.running} of {state.nodes} nodes)")
    return OK if state is not None else FAILURE


def _document(state: BrokerState) -> dict[str, Any]:
    return {**asdict(state), "nodes": state.nodes, "running": state.running}
