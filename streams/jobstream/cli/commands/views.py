"""`jobstream views`: the read side of an app: run it, migrate its tables, look how it stands."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from jobstream.answers.read_side import FRESH_S
from jobstream.cli.extras import needing
from jobstream.cli.log_output import LogForm, configure
from jobstream.cli.options import (
    at_port,
    json_option,
    log_level_option,
    log_option,
    metrics_port_option,
    name_and_settings,
    seconds,
    view_of,
)
from jobstream.cli.output import print_json, progress, say
from jobstream.cli.runs_by_default import RunsByDefault
from jobstream.exits import FAILURE, OK
from jobstream.roles.stop_signals import SIGNALS, leave_at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.cli.app_name import AppName
    from jobstream.settings import Settings

database_option = click.option(
    "--database",
    metavar="URL",
    envvar="JOBSTREAM_VIEWS_DATABASE",
    help="SQLite or PostgreSQL, as in postgresql://user@host/name.  "
         "[default: a file in the state folder]",
)  # fmt: skip


@click.group(cls=RunsByDefault)
def command() -> None:
    """Keep a database of an app's jobs, for pages, the HTTP API and your own queries.

    Without a subcommand it runs: jobstream views MODULE:APP. It reads the app's topics, joins a
    group of its own, APP.views, and needs none of the app's code. Run several for more speed. Jobs
    run, and are enqueued, as before when it is down.
    """


@command.command("run")
@database_option
@click.option("--keep", metavar="DURATION", default="30d", show_default=True,
              help="Keep a job for so long after its end.")  # fmt: skip
@click.option("--keep-jobs", type=click.IntRange(1_000, 100_000_000), default=5_000_000,
              show_default=True, metavar="N", help="Keep so many jobs at most.")  # fmt: skip
@metrics_port_option
@log_option
@log_level_option
def run_command(
    app: AppName,
    *,
    database: str | None,
    keep: str,
    keep_jobs: int,
    metrics_port: str | None,
    form: LogForm,
    log_level: str,
) -> int:
    """Fold the app's topics into its database until SIGTERM, SIGINT or SIGHUP.

    Makes the tables if there are none. Tables of an older version are refused: see views migrate.
    """
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - with the command only

    never_fail()
    configure(form, log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    parts = _parts()
    view = view_of(app)
    settings = at_port(view.settings, metrics_port)
    keep_ms = int(seconds("--keep", keep, 60_000) * 1000)
    engine = _database(settings, view.app, database)
    role = parts["ViewsRole"](view, engine, parts["Keep"](keep_ms, keep_jobs))
    _serve(settings, view.app, role)
    return OK


@command.command("migrate")
@database_option
def migrate_command(app: AppName, *, database: str | None) -> int:
    """Bring the tables to the form of this version, or make them; stop the projection before."""
    parts = _parts()
    name, settings = name_and_settings(app)
    url = database or parts["default_url"](settings.state_dir, name)
    parts["make_folder"](url)
    engine = parts["opened"](url)
    before, after = parts["migrate"](engine)
    if before == after:
        say(f"the tables are of version {after} already")
    else:
        say(f"the tables are of version {after} now; they were {before or 'not there'}")
    engine.dispose()
    return OK


@command.command("rebuild")
@database_option
def rebuild_command(app: AppName, *, database: str | None) -> int:
    """Build the tables anew from the log, beside those in use, then take their place at once.

    A projection may run meanwhile: it goes on behind the new rows. Jobs whose records retention has
    deleted are not in the new tables.
    """
    parts = _parts()
    from jobstream.views.rebuilding import rebuild  # noqa: PLC0415 - heavy

    view = view_of(app)
    url = database or parts["default_url"](view.settings.state_dir, view.app)
    parts["make_folder"](url)
    with progress("folding") as moved:
        records = rebuild(view, url, moved)
    say(f"built anew from {records:,} records")
    return OK


@command.command("status")
@database_option
@json_option
def status_command(app: AppName, *, database: str | None, as_json: bool) -> int:
    """Show how old the answers are, what they may lack, and how many jobs there are.

    The exit code is 1 where answers lack something, are more than 30 s behind, or nothing was read
    yet.
    """
    parts = _parts()
    name, settings = name_and_settings(app)
    url = database or parts["default_url"](settings.state_dir, name)
    with parts["Views"](url, app=name) as views:
        now, totals, unread = views.freshness(), views.totals(), views.unread()
    states: dict[str, int] = {}
    for total in totals:
        states[total.state] = states.get(total.state, 0) + total.n
    told = {
        "database": parts["shown"](parts["parsed_url"](url)),
        "as_of_ms": now.as_of_ms,
        "behind_records": now.behind_records,
        "behind_s": round(now.behind_s, 3),
        "late": now.late(FRESH_S) if now.as_of_ms else "",
        "incomplete": list(now.incomplete),
        "jobs": states,
        "unread_records": sum(each.n for each in unread),
    }
    if as_json:
        print_json(told)
    else:
        _say_status(told)
    return FAILURE if now.incomplete or told["late"] else OK


def _say_status(told: dict[str, Any]) -> None:
    say(f"database  {told['database']}")
    behind = f"{told['behind_records']:,} records behind when it last wrote"
    say(f"as of     {told['behind_s']:.1f} s ago, {behind}")
    counts = ", ".join(f"{n:,} {state}" for state, n in sorted(told["jobs"].items())) or "none"
    say(f"jobs      {counts}")
    if told["unread_records"]:
        say(f"unread    {told['unread_records']:,} records that are none of ours, or damaged")
    if told["late"]:
        say(f"late      {told['late']}")
    for text in told["incomplete"]:
        say(f"lacks     {text}")


def _parts() -> dict[str, Callable[..., Any]]:
    """What the commands are made of; raises ConfigError where the extra is not installed."""
    with needing("views"):
        from jobstream.sql.database_url import shown  # noqa: PLC0415 - heavy
        from jobstream.views.database import default_url, opened, parsed_url  # noqa: PLC0415 - heavy
        from jobstream.views.migrating import make_folder, migrate  # noqa: PLC0415 - as above
        from jobstream.views.role import ViewsRole  # noqa: PLC0415 - as above
        from jobstream.views.views_reader import Views as Answers  # noqa: PLC0415 - as above
        from jobstream.views.views_retention import Keep  # noqa: PLC0415 - as above
    return {
        "default_url": default_url, "opened": opened, "parsed_url": parsed_url, "Keep": Keep,
        "make_folder": make_folder, "migrate": migrate, "Views": Answers, "ViewsRole": ViewsRole,
        "shown": shown,
    }  # fmt: skip


def _database(settings: Settings, app: str, database: str | None) -> Any:  # noqa: ANN401 - an Engine
    """The database with this app's tables, of this version; made where there are none."""
    from jobstream.views.database import own_turn, revision_of  # noqa: PLC0415 - heavy
    from jobstream.views.owner import claim  # noqa: PLC0415 - as above

    parts = _parts()
    url = database or parts["default_url"](settings.state_dir, app)
    parts["make_folder"](url)
    engine = parts["opened"](url)
    if revision_of(engine) is None:
        parts["migrate"](engine)
    with own_turn(engine) as connection:
        claim(connection, app)
    return engine


def _serve(settings: Settings, app: str, role: Any) -> None:  # noqa: ANN401 - a ViewsRole
    from jobstream.observe.server import serve  # noqa: PLC0415 - needs the extra `metrics`

    stops = SIGNALS.serving(lambda _: role.close(), leave_at_once)
    with serve(settings, app, "views", [role.metrics], role.probes) as endpoint, stops:
        role.run(lambda: endpoint.tell_ready("views"))
