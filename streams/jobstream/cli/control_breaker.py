"""`jobstream control breaker`: circuit breakers in the hands of an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.ask_processes import confirm
from jobstream.cli.control_entries import entry_options, release_entry, tell_entry, wait_options
from jobstream.cli.options import json_option, view_of
from jobstream.cli.output import remark
from jobstream.cli.printable import one_line
from jobstream.operate.process_answers import workers_here
from jobstream_processors.core.orders import HOLD_BREAKER, OPEN

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.view import AppView


@click.group("breaker", cls=AppGroup)
def breaker_command() -> None:
    """Hold a circuit breaker open or closed, or release it.

    The entry wins over what the workers find, and over a deploy, until it ends.
    """


@breaker_command.command("open")
@click.argument("name", metavar="NAME")
@wait_options
@entry_options("1h")
@json_option
def open_command(
    app: AppName, *, name: str, wait_s: float, as_json: bool, **said: str | None
) -> int:
    """Hold a breaker open: workers start no job of its types. Running jobs go on.

    Its jobs wait on the delay ladder and lose no attempt. When the entry ends, workers try the
    breaker with a few jobs.
    """
    return _hold(app, name, 1, wait_s, said, as_json=as_json)


@breaker_command.command("close")
@click.argument("name", metavar="NAME")
@wait_options
@entry_options("1h")
@json_option
def close_command(
    app: AppName, *, name: str, wait_s: float, as_json: bool, **said: str | None
) -> int:
    """Hold a breaker closed: workers start its jobs, however many fail.

    Jobs that already wait on the delay ladder come back at their time, not sooner.
    """
    return _hold(app, name, 0, wait_s, said, as_json=as_json)


@breaker_command.command("release")
@click.argument("name", metavar="NAME")
@wait_options
@json_option
def release_command(app: AppName, *, name: str, wait_s: float, as_json: bool) -> int:
    """Let the workers decide again. The breaker is closed then, and opens when jobs fail."""
    return release_entry(app, HOLD_BREAKER, name, wait_s, as_json=as_json)


def _hold(
    app: AppName,
    name: str,
    is_open: int,
    wait_s: float,
    said: dict[str, str | None],
    *,
    as_json: bool,
) -> int:
    view = view_of(app)
    tell_entry(view, HOLD_BREAKER, name, said, {OPEN: is_open}, as_json=as_json)
    _warn_of_unknown(view, name)
    return confirm(view, HOLD_BREAKER, name, wait_s)


def _warn_of_unknown(view: AppView, name: str) -> None:
    """Say so if the workers of this machine know other breakers: it may be a typing error."""
    known = {each["name"] for answer in workers_here(view) for each in answer.get("breakers") or []}
    if known and name not in known:
        there = one_line(", ".join(sorted(known)))
        remark(f"no worker on this machine has a breaker {one_line(repr(name))}; there are {there}")
