"""Options and arguments that several commands share, and the texts that stand for moments."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import click

from jobstream.cli.hints import typed
from jobstream.cli.log_output import FORMS, LEVELS
from jobstream.cli.output import remark
from jobstream.errors import BrokerUnavailable, ConfigError
from jobstream.operate.near_names import listed
from jobstream.settings import Settings, read_port
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.cli.app_name import AppName
    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream.kafka.produce.sink import KafkaSink
    from jobstream.operate.view import AppView

LISTED_MAX = 10
"""Topics that a remark lists."""
queue_option = click.option(
    "--queue", metavar="QUEUE", help="Look at this queue only.  [default: all queues]"
)
metrics_port_option = click.option(
    "--metrics-port",
    metavar="PORT|off",
    help="Port for metrics and probes; 0 takes any free port. Overrides the port in the code.",
)
log_option = click.option(
    "--log",
    "form",
    type=click.Choice(FORMS),
    default="auto",
    show_default=True,
    help="Form of the log on stderr; auto is plain on a terminal, else json.",
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="Log records of this level and above.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def names(_: click.Context, option: click.Parameter, text: str | None) -> list[str] | None:
    """The names of "A,B", each once; None without the option. A list without a name is refused.

    It often comes of a variable that is empty: then neither none nor all of them are meant.
    """
    if text is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        message = f"{text!r} holds no name: write A,B, or leave the option out"
        raise click.BadParameter(message, param=option)
    return found


queues_option = click.option(
    "--queues",
    metavar="A,B",
    callback=names,
    help="Serve only these queues.  [default: all queues of the app]",
)


def at_port(settings: Settings, port: str | None) -> Settings:
    """The settings with this `--metrics-port`, if there is one; raises ConfigError."""
    if port is None:
        return settings
    return replace(settings, metrics_port=read_port("--metrics-port", port))


def view_of(app: AppName) -> AppView:
    """The app's view from outside; imports user code only for MODULE:APP."""
    from jobstream.operate.view import AppView  # noqa: PLC0415 - loads the Kafka client

    return AppView(*name_and_settings(app))


def sink_of(view: AppView) -> closing[KafkaSink]:
    """What publishes to the app's cluster; to be closed after."""
    from jobstream.kafka.client.broker_clock import BrokerClock  # noqa: PLC0415 - if it is needed
    from jobstream.kafka.produce.sink import KafkaSink  # noqa: PLC0415 - as above

    return closing(KafkaSink(view.options, BrokerClock()))


def tell_missing(app: AppName, view: AppView, queue: str | None = None) -> None:
    """Name the topics that do not exist, so that their missing data is not taken for none."""
    missing = view.missing(queue)
    if missing:
        fix = typed("create them, empty, with: jobstream topics apply MODULE:APP", app)
        there = listed(missing, LISTED_MAX, " and")
        remark(f"jobstream: topics do not exist, so their data is missing here: {there}; {fix}")


def name_and_settings(app: AppName) -> tuple[str, Settings]:
    """The app's name and settings; imports its code only for MODULE:APP."""
    if not app.has_code:
        return app.text, Settings.load()
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - only where code is named

    try:
        loaded = load_app(app)
    except ConfigError as error:
        message = f"{error}\nWith the app's bare name, --app NAME, this command needs no code."
        raise ConfigError(message) from error
    return loaded.name, loaded.settings


def brokers_now(view: AppView) -> Callable[[], int]:
    """A function that gives broker time in epoch milliseconds, from which durations count.

    The first call asks a broker, and raises BrokerUnavailable.
    """

    @cache
    def clock() -> BrokerClock:
        from jobstream.operate.broker_time import broker_clock  # noqa: PLC0415 - only if asked

        return broker_clock(view)

    return lambda: clock().broker_ms()


def or_ours(now_ms: Callable[[], int]) -> Callable[[], int]:
    """The same for what is only shown: where broker time is not known, this machine's does."""

    @cache
    def ahead_ms() -> int:
        """Of this machine's time, which goes on between two answers."""
        try:
            return now_ms() - time.time_ns() // 1_000_000
        except BrokerUnavailable as error:
            remark(f"ages are by this machine's clock: {error}")
            return 0

    def told_ms() -> int:
        return ahead_ms() + time.time_ns() // 1_000_000

    return told_ms


def moment(option: str, text: str | None, now_ms: Callable[[], int]) -> int | None:
    """Epoch milliseconds of "2026-01-31T12:00", "2h" (so long before now) or epoch seconds.

    A time without zone is local. `now_ms` is asked only for a length of time. Raises ConfigError
    naming the option.
    """
    if text is None:
        return None
    with suppress(InvalidOption):
        ago_ms = to_ms(text, name=option)
        return now_ms() - ago_ms
    try:
        if text.isascii() and text.isdigit():
            number = int(text)
            at_ms = number if number >= 10**11 else number * 1_000  # already milliseconds
            datetime.fromtimestamp(at_ms / 1_000, UTC)  # It raises for what no calendar has.
            return at_ms
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1_000)
    except (ValueError, OverflowError) as error:
        message = (
            f"{option}={text!r:.100} is not a moment: write 2026-01-31T12:00, 2026-01-31T12:00Z, "
            "2h (that long ago) or seconds since 1970"
        )
        raise ConfigError(message) from error


def seconds(option: str, text: Duration, least_ms: int) -> float:
    """The seconds of "15s"; raises ConfigError, naming the option and its limits."""
    try:
        return to_ms(text, name=option, least_ms=least_ms) / 1000
    except InvalidOption as error:
        raise ConfigError(str(error)) from error
