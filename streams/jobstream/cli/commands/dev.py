"""`jobstream dev`: a broker, the topics and every role, in one terminal, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.declared_app import Unsound, read_declared
from jobstream.cli.log_output import configure
from jobstream.cli.options import log_level_option
from jobstream.cli.output import say
from jobstream.cli.supervisor import Child, Supervisor, Telling
from jobstream.errors import BrokerUnavailable
from jobstream.exits import REPLACE, UNSAFE
from jobstream.operate.near_names import listed
from jobstream.roles.every_role import ROLES
from jobstream.roles.stop_signals import signal_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobstream.cli.app_name import AppName
    from jobstream.cli.declared_app import Declared
    from jobstream.cli.watched_code import WatchedCode

VIEWS = "views"
WEB = "web"
RELAY = "relay"
PROCESSES = (*ROLES, "exporter", RELAY, VIEWS, WEB)
SCHEDULER = "scheduler"
WEB_PORT = 8_390
ANSWER_S = 10.0
"""How long an answer is waited for, unless it is clear that no broker is there."""
NAMES_MAX = 3
"""Changed files that are named; more are counted."""


@click.command(cls=AppCommand)
@log_level_option
@click.option(
    "--reload", is_flag=True, help="Drain and restart the roles when Python files change."
)
def command(app: AppName, *, log_level: str, reload: bool) -> int:
    """Run everything MODULE:APP needs on this machine, for development.

    The command uses the broker at JOBSTREAM_BOOTSTRAP_SERVERS if one answers there. Otherwise it
    starts a broker on that port, keeps its data, and stops it at the end. It then applies the
    topics of the app and starts worker, delayer and exporter, a scheduler if the code has
    schedules, a relay if JOBSTREAM_DATABASE names the database of an outbox, views if the extra
    views is installed, and pages with the HTTP API if the extra web is. Ctrl-C drains the workers,
    then stops the broker; a second Ctrl-C kills the workers without waiting for their jobs.
    """
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - with the command only
    from jobstream.cli.watched_code import WatchedCode  # noqa: PLC0415 - as above

    never_fail()
    configure("plain", "warning")
    watch = None
    if reload:
        # Python takes compiled code for that of a file which has the same size and second.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        watch = WatchedCode(app.folder)
    try:
        declared = asyncio.run(_once_sound(app, watch, apply=False))
        with _broker(declared.servers):
            declared = asyncio.run(_once_sound(app, watch, apply=True))
            _tell_topics(declared)
            _tell_how(declared)
            return asyncio.run(_serve(app, log_level, declared, watch))
    except Unsound as error:
        if error.code != UNSAFE:
            raise
        _tell(error.message, "topics")
        return error.code


async def _once_sound(app: AppName, watch: WatchedCode | None, *, apply: bool) -> Declared:
    """Read what the code declares; with a watch, retry after each change until it is sound."""
    if watch is None:
        return await read_declared(app, apply=apply)
    while True:
        try:
            return await _of_latest(app, watch, apply=apply)
        except Unsound as error:
            _tell(error.message)
            _tell("waiting for the next change")
            await watch.change()


async def _of_latest(app: AppName, watch: WatchedCode, *, apply: bool) -> Declared:
    """Read what the code declares; start over on a change, since an import may never end."""
    while True:
        reading = asyncio.ensure_future(read_declared(app, apply=apply))
        changing = asyncio.ensure_future(watch.change())
        both = (reading, changing)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not changing.done():
                return await reading
            _tell_changed(changing.result())
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def _serve(
    app: AppName, log_level: str, declared: Declared, watch: WatchedCode | None
) -> int:
    """Keep the roles running until a signal asks to leave; the exit code."""
    web_port = _web_port()
    if web_port is not None:
        _tell(f"pages and HTTP API: http://127.0.0.1:{web_port}")
    roles = _roles(app, log_level, declared, web_port)
    supervisor = Supervisor(roles, declared.leave_s, telling=Said())
    async with asyncio.TaskGroup() as group:
        reloading = None
        if watch is not None:
            reloading = group.create_task(_reload(app, supervisor, declared, watch))
        try:
            return await supervisor.run()
        finally:
            if reloading is not None:
                reloading.cancel()


async def _reload(
    app: AppName, supervisor: Supervisor, declared: Declared, watch: WatchedCode
) -> None:
    """Start the roles again with each change of the code that can be imported."""
    shown = declared.examples
    while True:
        _tell_changed(await watch.change())
        try:
            found = await _of_latest(app, watch, apply=True)
        except Unsound as error:
            _tell(error.message)
            _tell("the previous code keeps running; waiting for the next change")
            continue
        if found.created:
            _tell_topics(found)
        if found.examples != shown:
            shown = found.examples
            _tell_how(found)
        if found.schedules and not declared.schedules:
            _tell("the first schedule fires once you start this command again")
        _tell("restarting each role once its running jobs have ended")
        supervisor.renew()


class Said(Telling):
    """Tells the user instead."""

    def ended(self, child: Child, code: int, again_s: float) -> None:  # noqa: D102 - see Telling
        how = f"was ended by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        if code == REPLACE:
            how = "asked for a new process"
        when = f"in {again_s:g} s" if again_s else "now"
        _tell(f"{child.name} {how}; it restarts {when}")

    def stopping(self, number: int, children: int) -> None:  # noqa: ARG002, D102 - see Telling
        _tell(f"{signal_name(number)}: stopping once running jobs have ended, at once on Ctrl-C")

    def killing(self, children: Sequence[Child], number: int | None) -> None:  # noqa: D102 - see Telling
        names = ", ".join(child.name for child in children)
        why = "too slow to leave" if number is None else f"second {signal_name(number)}"
        _tell(f"{why}: killing {names}; the next worker runs their jobs again")


def _tell(text: str, who: str = "dev") -> None:
    for line in text.splitlines():
        say(f"{who:<8}| {line}")


def _tell_changed(names: Sequence[str]) -> None:
    _tell(f"changed: {listed(names, NAMES_MAX, ' and')}")


def _tell_topics(declared: Declared) -> None:
    _tell(f"{declared.created} created, {declared.unchanged} as they should be", "topics")


def _tell_how(declared: Declared) -> None:
    if not declared.examples:
        _tell("the app has no job types: @app.job makes one; Ctrl-C here stops everything")
        return
    _tell("enqueue from another terminal; Ctrl-C here stops everything")
    for example in declared.examples:
        _tell(f"  {example}")


@contextmanager
def _broker(servers: str) -> Iterator[None]:
    """A broker at that address: the one that answers, or one of our own for as long as needed."""
    from jobstream.broker.free_ports import is_taken, local_port  # noqa: PLC0415 - with the command only
    from jobstream.broker.ready import serves  # noqa: PLC0415 - as above

    port, found = local_port(servers), serves(servers)
    if not found and (port is None or is_taken(port)):
        # It may be a broker on a busy machine, which takes its time to answer.
        say(f"broker  | waiting {ANSWER_S:.0f} s for {servers} to answer")
        found = serves(servers, ANSWER_S)
    if found:
        say(f"broker  | using the one at {servers}")
        yield
        return
    if port is None:
        message = (
            f"no broker answers at {servers}, and jobstream starts one only at 127.0.0.1:PORT: "
            "set JOBSTREAM_BOOTSTRAP_SERVERS"
        )
        raise BrokerUnavailable(message)
    from jobstream.broker import EmbeddedKafka  # noqa: PLC0415 - with the command only
    from jobstream.broker.data_places import broker_state_directory  # noqa: PLC0415 - as above

    say(f"broker  | starting at {servers} (the first time it downloads Kafka)")
    directory = broker_state_directory() / "nodes-1"
    with EmbeddedKafka(port=port, directory=directory) as kafka:
        say(f"broker  | up at {kafka.bootstrap_servers}, data and logs in {directory}")
        yield
        say("broker  | stopping")


def _has_views() -> bool:
    """Whether the extra of the read side is installed; imports none of it."""
    return all(find_spec(name) is not None for name in ("faust", "sqlalchemy", "alembic"))


def _web_port() -> int | None:
    """Where pages and the API are: the usual port, or another if that is taken; None without."""
    from jobstream.broker.errors import PortInUseError  # noqa: PLC0415 - as above
    from jobstream.broker.free_ports import refuse_taken, some_free_port  # noqa: PLC0415 - as above

    if any(find_spec(name) is None for name in ("starlette", "uvicorn", "jinja2")):
        return None
    try:
        refuse_taken(WEB_PORT)
    except PortInUseError:
        return some_free_port()
    return WEB_PORT


def _roles(app: AppName, log_level: str, declared: Declared, web_port: int | None) -> list[Child]:
    """Every process that can run; a scheduler where the code has some, `web` with a port."""
    options = ["--log", "plain", "--log-level", log_level]
    children = []
    left_out = {
        SCHEDULER: not declared.schedules,
        RELAY: not os.environ.get("JOBSTREAM_DATABASE"),
        VIEWS: not _has_views(),
        WEB: web_port is None,
    }
    taken = [each for each in PROCESSES if not left_out.get(each)]
    for role, port in zip(taken, declared.ports, strict=False):
        words = [sys.executable, "-m", "jobstream"]
        if role in ROLES:
            words += ["worker", *app.words, "--supervised", "--only", role, "--tracebacks"]
        else:
            words += [role, *app.words]
        if role == WEB:
            words += ["--port", str(web_port)]
        # By the option, which holds over a port that the code gives to all of them.
        words += ["--metrics-port", port]
        children.append(Child(role, [*words, *options], f"{role:<8}| "))
    return children
