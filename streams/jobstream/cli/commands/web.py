"""`jobstream web`: the HTTP API and pages of an app, and the tokens that open them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.extras import needing
from jobstream.cli.hints import typed
from jobstream.cli.log_output import LogForm, configure
from jobstream.cli.options import (
    at_port,
    json_option,
    log_level_option,
    log_option,
    metrics_port_option,
    name_and_settings,
)
from jobstream.cli.output import local, print_json, print_table, remark, say
from jobstream.cli.provider_options import provider_of, provider_options
from jobstream.cli.runs_by_default import RunsByDefault
from jobstream.cli.seen_app import database_option, site_of
from jobstream.errors import ConfigError
from jobstream.exits import OK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.cli.app_name import AppName
    from jobstream.web.desk import Desk
    from jobstream.web.tokens import TokenFile

log = logging.getLogger("jobstream.web")

PORT = 8390
ROLES = ("enqueue", "read", "operate", "admin")
tokens_option = click.option(
    "--tokens",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File of tokens.  [default: web-tokens.json in the state folder of the app]",
)


@click.group(cls=RunsByDefault)
def command() -> None:
    """Serve the HTTP API of an app, and make tokens for it.

    `jobstream web MODULE:APP` is short for `jobstream web run MODULE:APP`.
    """


@command.command("run")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to serve; beyond the loopback it needs a token.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True,
              help="Port to serve; 0 takes any free one.")  # fmt: skip
@click.option("--prefix", default="", metavar="PATH",
              help="Path under which a proxy passes requests on, as in /jobs.")  # fmt: skip
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME",
              help="Serve requests to this host name only; repeatable.  "
                   "[default: any, with tokens]")  # fmt: skip
@click.option("--https", "is_secure", is_flag=True,
              help="Send cookies by HTTPS only: every client comes by HTTPS.")  # fmt: skip
@provider_options
@tokens_option
@database_option
@metrics_port_option
@log_option
@log_level_option
def serve_command(
    app: AppName,
    *,
    host: str,
    port: int,
    prefix: str,
    hosts: tuple[str, ...],
    is_secure: bool,
    file: Path | None,
    database: str | None,
    metrics_port: str | None,
    form: LogForm,
    log_level: str,
    **provider: Any,  # noqa: ANN401 - the options of `provider_options`
) -> int:
    """Serve the HTTP API of an app until SIGTERM, SIGINT or SIGHUP.

    With MODULE:APP, enqueue is typed by the code. With --app NAME everything else is served. Until
    the first token is made, the command serves the loopback only, and asks for no token. A stop
    lets requests go on for 5 seconds.
    """
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - with the command only

    never_fail()
    configure(form, log_level)
    desk = _desk(
        app,
        file,
        database,
        host=host,
        prefix=prefix,
        hosts=hosts,
        is_secure=is_secure,
        provider=provider,
    )
    # The extras of a framework bring half of what this one does.
    with needing("web"):
        from jobstream.observe.health import Probes  # noqa: PLC0415 - with the command only
        from jobstream.observe.server import serve  # noqa: PLC0415 - needs the metrics library
        from jobstream.web.application import application  # noqa: PLC0415 - needs the extra
        from jobstream.web.listening import listen, serve_http  # noqa: PLC0415 - as above
        from jobstream.web.web_metrics import WebCollector  # noqa: PLC0415 - as above

    listener = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}{prefix}"
    settings = at_port(desk.site.settings, metrics_port)

    collectors = [WebCollector(desk)]
    with serve(settings, desk.site.name, "web", collectors, Probes()) as endpoint:

        def ready() -> None:
            tokens = len(desk.tokens.now().by_id)
            log.info("web_serving", extra={"address": address, "tokens": tokens})
            if desk.is_open:
                hint = typed("jobstream web token add MODULE:APP NAME --role read", app)
                log.warning("web_without_tokens", extra={"serves": "the loopback", "fix": hint})
            endpoint.tell_ready("web")

        serve_http(application(desk), listener, ready, desk.stop)
    return OK


def _desk(
    app: AppName,
    file: Path | None,
    database: str | None,
    *,
    host: str,
    prefix: str,
    hosts: tuple[str, ...],
    is_secure: bool,
    provider: Mapping[str, Any],
) -> Desk:
    """What the application is made of; raises ConfigError where it must not be served there."""
    with needing("web"):
        from jobstream.web.application import token_path  # noqa: PLC0415 - an extra
        from jobstream.web.desk import Desk  # noqa: PLC0415 - as above
        from jobstream.web.entry_check import is_loopback  # noqa: PLC0415 - as above
        from jobstream.web.tokens import TokenFile  # noqa: PLC0415 - as above
        from jobstream.web.web_options import WebOptions  # noqa: PLC0415 - as above
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        message = f"--prefix {prefix!r}: begin it with a slash and end it without, as in /jobs"
        raise ConfigError(message)
    site = site_of(app, database)
    site.read_side.require()
    tokens = TokenFile(file if file is not None else token_path(site))
    oidc = provider_of(provider)
    if not tokens.read().by_id and oidc is None and not is_loopback(host):
        fix = typed("jobstream web token add MODULE:APP NAME --role read", app)
        message = (
            f"--host {host} would serve others, and there is no token in {tokens.path}: make one "
            f"with: {fix}"
        )
        raise ConfigError(message)
    options = WebOptions(
        prefix=prefix,
        open_to_loopback=is_loopback(host),
        hosts=tuple(name.lower() for name in hosts),
        is_secure=is_secure,
        oidc=oidc,
    )
    return Desk(site, tokens, options)


@command.group("token", cls=AppGroup)
def token_group() -> None:
    """Make, list and revoke tokens of the HTTP API.

    A token is shown once; its file keeps a hash. A server follows changes of the file.
    """


def _file(app: AppName, file: Path | None) -> TokenFile:
    from jobstream.web.tokens import TokenFile  # noqa: PLC0415 - with the command only

    if file is not None:
        return TokenFile(file)
    name, settings = name_and_settings(app)
    return TokenFile(settings.state_dir / name / "web-tokens.json")


@token_group.command("add")
@click.argument("name", metavar="NAME")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES),
              help="What the token may do; repeatable.")  # fmt: skip
@click.option("--queue", "queues", multiple=True, metavar="QUEUE",
              help="Let the token see and change this queue only; repeatable.  "
                   "[default: all queues]")  # fmt: skip
@tokens_option
def add_command(
    app: AppName, *, name: str, roles: tuple[str, ...], queues: tuple[str, ...], file: Path | None
) -> int:
    """Make a token and print it, once.

    NAME appears in the audit. enqueue: enqueue jobs and wait for their end. read: see everything.
    operate: both, and pause, cancel, redrive. admin: also discard by filter.
    """
    from jobstream.web.callers import TokenRole  # noqa: PLC0415 - with the command only

    tokens = _file(app, file)
    say(tokens.add(name, {TokenRole(role) for role in roles}, queues))
    remark(f"kept as a hash in {tokens.path}; this is the only time that it is shown")
    return OK


@token_group.command("list")
@tokens_option
@json_option
def list_command(app: AppName, *, file: Path | None, as_json: bool) -> int:
    """List the tokens: their names, roles, queues and when they were made."""
    found = sorted(_file(app, file).read().by_id.values(), key=lambda each: each.name)
    if as_json:
        print_json([
            {"name": each.name, "id": each.id, "roles": [str(role) for role in each.roles],
             "queues": list(each.queues), "created": each.created}
            for each in found
        ])  # fmt: skip
        return OK
    rows = [
        (each.name, ", ".join(each.roles), ", ".join(each.queues) or "all", local(each.created))
        for each in found
    ]
    print_table(("name", "roles", "queues", "made"), rows)
    if not rows:
        remark("there are no tokens: a server serves the loopback only")
    return OK


@token_group.command("revoke")
@click.argument("name", metavar="NAME")
@tokens_option
def revoke_command(app: AppName, *, name: str, file: Path | None) -> int:
    """Revoke a token; servers refuse it within a second, and end its sessions."""
    _file(app, file).revoke(name)
    say(f"token {name} is revoked")
    return OK
