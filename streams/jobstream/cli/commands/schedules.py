"""`jobstream schedules`: what fires when. Needs the app's code only to add one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.options import brokers_now, json_option, moment, name_and_settings, view_of
from jobstream.cli.output import print_json, print_table, remark, say
from jobstream.cli.printable import one_line
from jobstream.cli.value_types import LENGTH, MOMENT, Length
from jobstream.exits import OK
from jobstream_processors.core.ticks import MISSED, OVERLAP

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from jobstream.cli.app_name import AppName
    from jobstream.schedule_control import Schedules
    from jobstream.schedule_view import Schedule

    _Function = TypeVar("_Function", bound=Callable[..., Any])

_name = click.argument("name", metavar="NAME")


_who = click.option("--who", help="Your name, shown with it.  [default: user@host]")


def _said(function: _Function) -> _Function:
    """Add --why and --who to a command."""
    why = click.option("--why", default="", help="Reason, shown wherever it is listed.")
    return _who(why(function))


@click.group(cls=AppGroup)
def command() -> None:
    """List, add, pause, run and backfill schedules.

    Schedules of the code are changed in code; whatever is said here outlives a deploy. The
    scheduler that owns a schedule acts on it within a second.
    """


@command.command("list")
@json_option
def list_command(app: AppName, *, as_json: bool) -> int:
    """List the schedules: when each fires, its last and its next tick, and what became of ticks."""
    found = _schedules(app).list()
    if as_json:
        print_json([_document(each) for each in found])
        return OK
    print_table(("name", "type", "when", "last", "next", "ticks", "state"), map(_row, found))
    if not found:
        _tell_none(app)
    return OK


@command.command("add")
@_name
@click.argument("job_type", metavar="TYPE")
@click.argument("args", metavar="[JSON]", required=False)
@click.option("--cron", default="", metavar="EXPRESSION", help="As in '*/5 * * * *'.")
@click.option("--tz", default="UTC", metavar="ZONE", help="Time zone of --cron.")
@click.option(
    "--every", metavar="DURATION", type=LENGTH, help="Interval instead of --cron, as in 10m."
)
@click.option(
    "--anchor", metavar="TIME", type=MOMENT, help="A tick of --every; the others follow from it."
)
@click.option(
    "--missed",
    type=click.Choice(MISSED),
    default="one",
    show_default=True,
    help="Which ticks fire late, if no scheduler ran when they were due.",
)
@click.option(
    "--catch-up",
    default="1h",
    show_default=True,
    metavar="DURATION",
    type=LENGTH,
    help="Ticks that are later than this never fire.",
)
@click.option(
    "--overlap",
    type=click.Choice(OVERLAP),
    default="skip",
    show_default=True,
    help="What a tick does while the job before goes on.",
)
@click.option(
    "--spread",
    default="0s",
    metavar="DURATION",
    type=LENGTH,
    help="Fire later by a fixed offset below this, which the name decides.",
)
@_who
def add_command(app: AppName, *, name: str, job_type: str, args: str | None, **given: Any) -> int:  # noqa: ANN401 - as the options say
    """Add a schedule that enqueues jobs of TYPE, or change one that was added.

    Give --cron or --every. JSON has the args of its jobs; without it they are the defaults of the
    args class. Needs MODULE:APP. A worker that does not know the type keeps the schedule, shows it
    as broken, and fires nothing.
    """
    from jobstream.cli.commands.enqueue import job_of, read_args  # noqa: PLC0415 - with this only
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client

    loaded = load_app(app)
    job = job_of(loaded, job_type)
    anchor = _instant("--anchor", given.pop("anchor"), lambda: 0)
    try:
        loaded.schedules.add(
            name,
            job,
            None if args is None else read_args(job, args),
            anchor=anchor,
            **given,
        )
    finally:
        loaded.close()
    say(f"schedule {name} is added")
    return OK


@command.command("pause")
@_name
@click.option(
    "--for",
    "lasts",
    metavar="DURATION",
    type=Length(1_000),
    help="It goes on by itself after this time.  [default: until `resume`]",
)
@_said
def pause_command(app: AppName, *, name: str, lasts: str | None, why: str, who: str | None) -> int:
    """Pause a schedule. Its ticks are counted as skipped meanwhile, and never made up for."""
    schedules = _schedules(app)
    schedules.pause(name, why=why, for_=lasts, who=who)
    say(f"schedule {name} is paused")
    _tell_trouble(schedules, name)
    return OK


@command.command("resume")
@_name
def resume_command(app: AppName, *, name: str) -> int:
    """End the pause of a schedule."""
    schedules = _schedules(app)
    schedules.resume(name)
    say(f"schedule {name} is not paused")
    _tell_trouble(schedules, name)
    return OK


@command.command("run")
@_name
@_said
def run_command(app: AppName, *, name: str, why: str, who: str | None) -> int:
    """Fire a schedule once now, paused or not, whatever of it runs. Its ticks go on as before.

    The exit code is 1, and nothing is written, for a schedule that can't fire.
    """
    _schedules(app).run(name, why=why, who=who)
    say(f"schedule {name} fires once more")
    _tell_nobody_fires(app)
    return OK


@command.command("backfill")
@_name
@click.option(
    "--from",
    "start",
    required=True,
    metavar="TIME",
    type=MOMENT,
    help="First tick, as in 2026-01-31T12:00, or 6h (6 hours ago).",
)
@click.option("--to", "end", metavar="TIME", type=MOMENT, help="Last tick.  [default: now]")
@_said
def backfill_command(
    app: AppName, *, name: str, start: str, end: str | None, why: str, who: str | None
) -> int:
    """Fire every tick of a time in the past, at most 10,000.

    They run as they come, beside each other. A tick whose job ended within the dedup window does
    not run again.
    """
    now_ms = brokers_now(view_of(app))
    first, last = _instant("--from", start, now_ms), _instant("--to", end, now_ms)
    assert first is not None, "--from is required"  # noqa: S101
    if last is None:
        last = datetime.fromtimestamp(now_ms() / 1000, UTC)
    ticks = _schedules(app).backfill(name, first, last, why=why, who=who)
    say(f"schedule {name} fires for {ticks} ticks")
    _tell_nobody_fires(app)
    return OK


@command.command("preview")
@_name
@click.option(
    "--count", type=click.IntRange(1, 1_000), default=5, show_default=True, help="How many ticks."
)
@click.option("--after", metavar="TIME", type=MOMENT, help="Ticks after this.  [default: now]")
@json_option
def preview_command(
    app: AppName, *, name: str, count: int, after: str | None, as_json: bool
) -> int:
    """Print the next ticks of a schedule, in its time zone."""
    since = None if after is None else _instant("--after", after, brokers_now(view_of(app)))
    schedules = _schedules(app)
    ticks = schedules.preview(name, count, after=since)
    if as_json:
        print_json([tick.isoformat() for tick in ticks])
    else:
        for tick in ticks:
            say(tick.isoformat())
    if name not in schedules.declared:
        _tell_trouble(schedules, name)
    return OK


@command.command("remove")
@_name
def remove_command(app: AppName, *, name: str) -> int:
    """Remove a schedule. Jobs that it made go on; one of the code comes back with a worker."""
    _schedules(app).remove(name)
    say(f"schedule {name} is removed")
    return OK


def _schedules(app: AppName) -> Schedules:
    """Of the app with its code, if that is named: then it is known what can't fire."""
    from jobstream.app import App  # noqa: PLC0415 - not needed for --help

    if app.has_code:
        from jobstream.cli.loading import load_app  # noqa: PLC0415 - as above

        return load_app(app).schedules
    name, settings = name_and_settings(app)
    return App(name, settings=settings).schedules


def _tell_trouble(schedules: Schedules, name: str) -> None:
    """Say so where a schedule does not fire, whatever was written about it."""
    for each in schedules.list():
        if each.name == name and each.trouble:
            remark(f"schedule {name} does not fire: {each.trouble}")


def _tell_none(app: AppName) -> None:
    """Say that there is none; a bare name knows those of the code only once they are written."""
    from jobstream.schedule_view import BY_ROLE  # noqa: PLC0415 - not needed for --help

    if app.has_code:
        remark("there are no schedules")
        return
    role = f"a process with the role scheduler ({BY_ROLE})"
    remark(f"there are no schedules; those of the code are known once {role} has started")


def _tell_nobody_fires(app: AppName) -> None:
    """Say so where no process is there that would carry out what was written."""
    from jobstream.schedule_view import BY_ROLE  # noqa: PLC0415 - as above
    from jobstream.topics.names import schedule_group  # noqa: PLC0415 - not needed for --help

    view = view_of(app)
    if not view.cluster.members(schedule_group(view.app)):
        remark(f"no process with the role scheduler runs now ({BY_ROLE}): it fires once one does")


def _instant(option: str, given: str | None, now_ms: Callable[[], int]) -> datetime | None:
    """The moment that an option names, in UTC; None where it is not given."""
    at_ms = moment(option, given, now_ms)
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


def _row(each: Schedule) -> tuple[str, ...]:
    ticks = " ".join(f"{what} {count}" for what, count in each.counts.items() if count)
    state = each.trouble or (f"paused {each.paused}" if each.paused else "")
    return (
        each.name,
        each.job_type,
        each.when,
        _shown(each.last_tick),
        _shown(each.next_tick),
        ticks,
        one_line(state or ("a tick waits" if each.waiting_tick else "")),
    )


def _shown(moment_: datetime | None) -> str:
    return "" if moment_ is None else moment_.astimezone().isoformat(" ", "seconds")


def _document(each: Schedule) -> dict[str, Any]:
    def iso(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "name": each.name,
        "type": each.job_type,
        "when": each.when,
        "source": each.source,
        "missed": each.missed,
        "catch_up_ms": each.catch_up_ms,
        "overlap": each.overlap,
        "spread_ms": each.spread_ms,
        "paused": each.paused or None,
        "last_tick": iso(each.last_tick),
        "next_tick": iso(each.next_tick),
        "waiting_tick": iso(each.waiting_tick),
        "ticks": dict(each.counts),
        "trouble": each.trouble or None,
    }
