"""`jobstream relay`: publishes the outbox of an app, shows how it stands, retries rows."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.extras import needing
from jobstream.cli.log_output import LogForm, configure
from jobstream.cli.options import (
    at_port,
    json_option,
    log_level_option,
    log_option,
    metrics_port_option,
    name_and_settings,
)
from jobstream.cli.output import print_json, print_table, say
from jobstream.cli.runs_by_default import RunsByDefault
from jobstream.exits import FAILURE, OK
from jobstream.roles.stop_signals import SIGNALS, leave_at_once
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName

COLUMNS = ("row>", "type", "job", "age>", "error")


class DatabaseUrl(click.ParamType):
    """The URL of a database; it is parsed where it is opened."""

    name = "url"

    def get_missing_message(self, *_: object, **__: object) -> str:
        """The other place where it may stand."""
        return "Name the database of the service, there or in JOBSTREAM_DATABASE."


url_option = click.option(
    "--url",
    type=DatabaseUrl(),
    metavar="URL",
    envvar="JOBSTREAM_DATABASE",
    required=True,
    help="Database of the service, as in postgresql://user@host/name.  [JOBSTREAM_DATABASE]",
)


@click.group(cls=RunsByDefault)
def command() -> None:
    """Publish the jobs that services wrote into their database with `enqueue_in`.

    Without a subcommand it runs: jobstream relay MODULE:APP --url URL. It publishes committed rows
    in order, deletes each once Kafka has acknowledged it, and deletes old marks of `once`.
    """


@command.command("run")
@url_option
@click.option("--keep-inbox", metavar="DURATION",
              help="Delete marks of `once` this long after the last run of their job.  "
                   "[default: the longest wait between two runs]")  # fmt: skip
@metrics_port_option
@log_option
@log_level_option
def run_command(
    app: AppName,
    *,
    url: str,
    keep_inbox: str | None,
    metrics_port: str | None,
    form: LogForm,
    log_level: str,
) -> int:
    """Publish rows until SIGTERM, SIGINT or SIGHUP.

    Run two for a relay that may die: in PostgreSQL they share the work, with SQLite the second one
    waits for the first to end. Rows wait as long as the brokers are away.
    """
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - with the command only
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - as above

    never_fail()
    configure(form, log_level)
    parts = _parts()
    loaded = load_app(app)
    settings = at_port(loaded.settings, metrics_port)
    lives = parts["lives_ms"](loaded, keep_inbox)
    from jobstream.kafka.client.broker_clock import BrokerClock  # noqa: PLC0415 - loads the client
    from jobstream.kafka.produce.sink import KafkaSink  # noqa: PLC0415 - as above
    from jobstream.observe.server import serve  # noqa: PLC0415 - needs the extra `metrics`

    sink = KafkaSink(settings.client_options(), BrokerClock(), {"message.timeout.ms": 30_000})
    with parts["opened"](url) as engine, closing(sink), closing(loaded):
        sender = parts["RowSender"](loaded, sink, loaded.client.transport)
        relay = parts["Relay"](engine, parts["OutboxRows"](engine, loaded.name), sender, lives)
        stops = SIGNALS.serving(lambda _: relay.close(), leave_at_once)
        metrics, probes = parts["RelayMetrics"](relay), parts["probes_of"](relay)
        with serve(settings, loaded.name, "relay", [metrics], probes) as endpoint, stops:
            relay.run(lambda: endpoint.tell_ready("relay"))
    return OK


@command.command("status")
@url_option
@json_option
def status_command(app: AppName, *, url: str, as_json: bool) -> int:
    """Show what waits in the outbox, how old it is, and rows that were set aside.

    It names the 100 oldest of those, and counts all.
    """
    parts = _parts()
    name, _ = name_and_settings(app)
    with parts["opened"](url) as engine:
        rows = parts["OutboxRows"](engine, name)
        waiting, aside = rows.waiting(), rows.set_aside()
    now_ms = time.time_ns() // 1_000_000
    if as_json:
        print_json(_told(waiting, aside))
    else:
        say(f"waiting    {counted(waiting.rows, 'row')}, the oldest for {waiting.oldest_s:.1f} s")
        say(f"set aside  {counted(waiting.set_aside, 'row')}")
        if aside:
            print_table(COLUMNS, [_row(each, now_ms) for each in aside])
    return OK


@command.command("retry")
@click.argument("rows", nargs=-1, type=click.IntRange(1), metavar="[ROW]")
@click.option("--all", "is_all", is_flag=True, help="Retry every row that is set aside.")
@url_option
def retry_command(app: AppName, *, rows: tuple[int, ...], is_all: bool, url: str) -> int:
    """Let rows wait again that were set aside; the next relay publishes them.

    ROW is a number that `jobstream relay status` shows. What can't be published is set aside again.
    """
    if bool(rows) == is_all:
        message = "which rows? Name their numbers, as `jobstream relay status` shows, or give --all"
        raise click.UsageError(message)
    parts = _parts()
    name, _ = name_and_settings(app)
    with parts["opened"](url) as engine:
        count = parts["OutboxRows"](engine, name).retry(None if is_all else rows)
    say(f"{counted(count, 'row')} wait{'s' if count == 1 else ''} again")
    return OK if count else FAILURE


def _told(waiting: Any, aside: Any) -> dict[str, Any]:  # noqa: ANN401 - of jobstream.sql
    return {
        "waiting": waiting.rows,
        "oldest_s": round(waiting.oldest_s, 3),
        "set_aside": waiting.set_aside,
        "rows": [
            {
                "row": each.n,
                "job_id": each.job_id,
                "type": each.job_type,
                "topic": each.topic,
                "since_ms": each.since_ms,
                "error": each.error,
            }
            for each in aside
        ],
    }


def _row(each: Any, now_ms: int) -> tuple[Any, ...]:  # noqa: ANN401 - of jobstream.sql
    age_s = max(0, now_ms - each.since_ms) // 1000
    return each.n, each.job_type, each.job_id, f"{age_s:,} s", each.error


def _parts() -> dict[str, Any]:
    """What the commands are made of; raises ConfigError where the extra is not installed."""
    with needing("worker,sql"):
        from jobstream.sql.opening import opened  # noqa: PLC0415 - an extra
        from jobstream.sql.outbox_rows import OutboxRows  # noqa: PLC0415 - as above
        from jobstream.sql.relay import Relay  # noqa: PLC0415 - as above
        from jobstream.sql.relay_metrics import RelayMetrics, probes_of  # noqa: PLC0415 - as above
        from jobstream.sql.row_sending import RowSender  # noqa: PLC0415 - as above
        from jobstream.sql.sweeping import lives_ms  # noqa: PLC0415 - as above
    return {
        "opened": opened, "OutboxRows": OutboxRows, "Relay": Relay,
        "RelayMetrics": RelayMetrics, "probes_of": probes_of, "RowSender": RowSender,
        "lives_ms": lives_ms,
    }  # fmt: skip
