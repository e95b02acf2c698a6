"""`jobstream exporter`: lag, dead letters and groups as metrics, also when no worker lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.extras import needing
from jobstream.cli.log_output import LogForm, configure
from jobstream.cli.options import (
    at_port,
    log_level_option,
    log_option,
    metrics_port_option,
    seconds,
    view_of,
)
from jobstream.cli.value_types import Length
from jobstream.errors import ConfigError
from jobstream.exits import OK
from jobstream.roles.stop_signals import SIGNALS, leave_at_once

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.observe.exporter import Exporter
    from jobstream.settings import Settings

LEAST_MS = 100


@click.command(cls=AppCommand)
@click.option("--interval", metavar="DURATION", type=Length(LEAST_MS),
              default="15s", show_default=True,
              help="Time between two scans.")  # fmt: skip
@click.option("--slo", "slos", metavar="QUEUE=DURATION", multiple=True,
              help="Objective of a queue: the longest that a job should wait. Overrides slo= in "
                   "the code; repeatable.")  # fmt: skip
@click.option("--stalled-after", metavar="DURATION", type=Length(LEAST_MS),
              default="2m", show_default=True,
              help="Report a partition as stalled when its offset has not moved for this long. "
                   "Set it above your longest job.")  # fmt: skip
@metrics_port_option
@log_option
@log_level_option
def command(
    app: AppName,
    *,
    interval: str,
    slos: tuple[str, ...],
    stalled_after: str,
    metrics_port: str | None,
    form: LogForm,
    log_level: str,
) -> int:
    """Serve lag, dead letters and consumer groups of an app as metrics, for Prometheus.

    The exporter reads topics and groups at an interval until SIGTERM, SIGINT or SIGHUP. It joins no
    group, and works when no worker runs. JOBSTREAM_METRICS_HOST and --metrics-port set its address.
    /readyz answers 503 when the values are stale. Two exporters may run at once.
    """
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - with the command only
    from jobstream.operate.onlooker import Onlooker  # noqa: PLC0415 - loads the Kafka client

    with needing("worker"):
        from jobstream.observe.exporter import Exporter  # noqa: PLC0415 - needs the metrics library

    never_fail()
    configure(form, log_level)
    view = view_of(app)
    settings = at_port(view.settings, metrics_port)
    objectives_s = declared(app) | read_objectives(slos)
    onlooker, interval_s = Onlooker(view), seconds("--interval", interval, LEAST_MS)
    stalled_s = seconds("--stalled-after", stalled_after, LEAST_MS)
    exporter = Exporter(
        onlooker, interval_s=interval_s, objectives_s=objectives_s, stalled_s=stalled_s
    )
    _serve(settings, view.app, exporter)
    return OK


def declared(app: AppName) -> dict[str, float]:
    """Seconds by queue as the code declares them with `slo=`; nothing for a bare name."""
    if not app.has_code:
        return {}
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - only where code is named

    return {queue: plan.slo_ms / 1000 for queue, plan in load_app(app).plans().items()}


def read_objectives(slos: tuple[str, ...]) -> dict[str, float]:
    """Seconds by queue of `mail=5m` and the like; raises ConfigError naming what is wrong."""
    found = {}
    for each in slos:
        queue, equals, text = each.partition("=")
        if not (queue and equals):
            message = f"--slo {each!r} is not an objective: write QUEUE=DURATION, as in mail=5m"
            raise ConfigError(message)
        found[queue] = seconds(f"--slo {queue}", text, LEAST_MS)
    return found


def _serve(settings: Settings, app: str, exporter: Exporter) -> None:
    from jobstream.observe.server import serve  # noqa: PLC0415 - needs the extra `metrics`

    stops = SIGNALS.serving(lambda _: exporter.close(), leave_at_once)
    with serve(settings, app, "exporter", [exporter], exporter.probes) as endpoint, stops:
        exporter.run(lambda: endpoint.tell_ready("exporter"))
