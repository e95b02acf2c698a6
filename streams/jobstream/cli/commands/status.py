"""`jobstream status`: the processes of an app on this machine, and how each of them is.

It finds them by the files that they write, asks each over HTTP, and needs neither user code nor a
broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.options import json_option, name_and_settings
from jobstream.cli.output import age, print_json, print_table, remark
from jobstream.cli.printable import one_line
from jobstream.exits import FAILURE, OK
from jobstream.operate.process_answers import held_by, processes_here

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName

COLUMNS = (
    *("role", "pid>", "worker", "address", "live", "ready", "partitions>", "in flight>"),
    *("running>", "oldest", "waiting", "restoring", "paused", "breakers", "schedules", "why"),
)


@click.command(cls=AppCommand)
@json_option
def command(app: AppName, *, as_json: bool) -> int:
    """Show the processes of an app on this machine: their health, partitions and running jobs.

    The exit code is 0 if at least one process answers and all are live and ready, else 1. To watch
    processes on other machines, use Prometheus.
    """
    from jobstream.observe.targets import folder_of  # noqa: PLC0415 - with the command only

    name, settings = name_and_settings(app)
    answers = processes_here(name, settings)
    if not answers:
        folder = folder_of(settings.state_dir, name)
        remark(f"no process of {name!r} answers on this machine (looked in {folder})")
    if as_json:
        print_json(answers)
    elif answers:
        print_table(COLUMNS, [_row(answer) for answer in answers])
    well = [answer for answer in answers if answer.get("live") and answer.get("ready")]
    return OK if answers and len(well) == len(answers) else FAILURE


def _breakers(told: list[dict[str, Any]]) -> str:
    """Those that are not closed, or held; else how many there are."""
    ajar = [each for each in told if each["state"] != "closed" or each["held"]]
    named = [f"{each['name']} {each['state']}{' (held)' if each['held'] else ''}" for each in ajar]
    return ", ".join(named) or (f"{len(told)} closed" if told else "-")


def _schedules(told: dict[str, Any]) -> str:
    """How many this process fires, and which of them can't fire, or are paused."""
    if not told.get("owned"):
        return "-"
    broken = [f"{each['name']} is broken ({each['why']})" for each in told["broken"]]
    names: list[str] = told["paused_names"]
    paused = [f"{name} is paused" for name in names]
    more = told["paused"] - len(names)
    parts = [str(told["owned"]), *broken, *paused, *([f"{more} more are paused"] if more else [])]
    return one_line(", ".join(parts))


def _waiting(answer: dict[str, Any]) -> str:
    """How many jobs wait in memory, by what they wait for, over all queues."""
    found: dict[str, tuple[int, float]] = {}
    for each in answer.get("waiting") or []:
        jobs, seconds = found.get(each["for"], (0, 0.0))
        found[each["for"]] = jobs + each["jobs"], max(seconds, each["seconds"])
    told = [f"{jobs} {why} {age(seconds)}" for why, (jobs, seconds) in sorted(found.items())]
    return ", ".join(told) or "-"


def _row(answer: dict[str, Any]) -> list[str]:
    oldest = answer.get("oldest")
    restoring = answer.get("restoring") or []
    unserved = len(answer.get("not_serving") or [])
    left = sum(each["remaining"] for each in restoring)
    held = held_by(answer)
    reasons = sorted({reason for each in held.values() for reason in each})
    return [
        answer["role"],
        str(answer["pid"]),
        str(answer.get("worker", "-")),
        answer["address"],
        "yes" if answer.get("live") else "NO",
        "yes" if answer.get("ready") else "NO",
        str(answer.get("partitions", "-")),
        str(answer.get("in_flight", "-")),
        str(answer.get("running", "-")),
        f"{oldest['job']} {age(oldest['seconds'])}" if oldest else "-",
        _waiting(answer),
        f"{unserved} ({left} rows left)" if unserved else "-",
        f"{len(held)} ({', '.join(reasons)})" if held else "-",
        _breakers(answer.get("breakers") or []),
        _schedules(answer.get("schedules") or {}),
        "; ".join(dict.fromkeys(each["why"] for each in answer.get("failed") or [])),
    ]
