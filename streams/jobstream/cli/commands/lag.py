"""`jobstream lag`: how far behind the workers and the ladder are. Needs no user code, no worker."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.control_text import document, holds
from jobstream.cli.options import json_option, queue_option, tell_missing, view_of
from jobstream.cli.output import age, console, print_json, print_json_line, print_table, say, table
from jobstream.exits import OK

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.lag import Lag, QueueLag
    from jobstream.operate.sight import PartitionLag
    from jobstream.operate.view import AppView

COLUMNS = (
    *("queue", "rung", "partition>", "committed>", "end>", "lag>", "oldest>", "overdue>"),
    *("open letters>", "drained in>"),
)


@click.command(cls=AppCommand)
@queue_option
@click.option("--partitions", is_flag=True, help="Show each partition, not the sum per topic.")
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@click.option("--interval", type=click.FloatRange(0.1), metavar="SECONDS", default=2.0,
              show_default=True, help="With --watch: time between two tables.")  # fmt: skip
@json_option
def command(
    app: AppName,
    *,
    queue: str | None,
    partitions: bool,
    watch: bool,
    interval: float,
    as_json: bool,
) -> int:
    """Show how many records wait in each queue and rung, and for how long the oldest has waited.

    `committed` is the offset at which the group continues: the one it committed or mirrored, else
    the start of the log. Records of a rung wait on purpose; `overdue` says by how much they are
    late. With --watch, `drained in` says when the queue will be empty at the rate of the last
    minute. JSON has every partition; with --watch, one document a line.
    """
    view = view_of(app)
    tell_missing(app, view, queue)
    if watch:
        _watch(view, queue, interval, partitions=partitions, as_json=as_json)
    elif as_json:
        print_json([_document(each) for each in _lag(view, queue).look()])
    else:
        _show(_lag(view, queue).look(), partitions=partitions)
    return OK


def _show(found: list[QueueLag], *, partitions: bool) -> None:
    print_table(COLUMNS, _rows(found, partitions=partitions))
    for line in _held(found):
        say(line)


def _lag(view: AppView, queue: str | None) -> Lag:
    from jobstream.operate.lag import Lag  # noqa: PLC0415 - loads the Kafka client

    return Lag(view, queue)


def _watch(
    view: AppView, queue: str | None, interval_s: float, *, partitions: bool, as_json: bool
) -> None:
    """Until Ctrl-C, which is how one leaves it; drawn in place on a terminal alone."""
    pause, lag = threading.Event(), _lag(view, queue)
    while as_json or not sys.stdout.isatty():
        found = lag.look()
        if as_json:
            print_json_line([_document(each) for each in found])
        else:
            _show(found, partitions=partitions)
        pause.wait(interval_s)
    from rich.console import Group  # noqa: PLC0415 - on a terminal only
    from rich.live import Live  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    with Live(console=console(), auto_refresh=False) as live:
        while True:
            found = lag.look()
            shown = table(COLUMNS, _rows(found, partitions=partitions))
            live.update(Group(shown, *map(Text, _held(found))), refresh=True)
            pause.wait(interval_s)


def _rows(found: list[QueueLag], *, partitions: bool) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for queue in found:
        rungs = list(dict.fromkeys(row.rung for row in queue.partitions))
        for rung in rungs:
            mine = [row for row in queue.partitions if row.rung == rung]
            whole = ("", "") if rung else (queue.open_letters, _drained(queue))
            if partitions:
                rows += [_row(row, ("", "") if row.standing.place[1] else whole) for row in mine]
            elif not rung or any(row.standing.lag for row in mine):
                rows.append(_sum(mine, whole))
    return rows


def _held(found: list[QueueLag]) -> list[str]:
    from jobstream.control_listing import shown  # noqa: PLC0415 - not needed for JSON

    return [*dict.fromkeys(holds(shown(order)) for queue in found for order in queue.orders)]


def _drained(queue: QueueLag) -> str:
    """In how long it is caught up: known from the second look on."""
    if queue.drain_s is None:
        return "never" if queue.looks > 1 else "-"
    return age(queue.drain_s)


def _row(row: PartitionLag, whole: tuple[Any, ...]) -> tuple[Any, ...]:
    at = row.standing
    oldest, late = (age(row.age_s), age(row.overdue_s)) if at.lag else ("-", "-")
    return row.queue, row.rung, at.place[1], at.position, at.high, at.lag, oldest, late, *whole


def _sum(rows: list[PartitionLag], whole: tuple[Any, ...]) -> tuple[Any, ...]:
    position = sum(row.standing.position for row in rows)
    high = sum(row.standing.high for row in rows)
    lag = sum(row.standing.lag for row in rows)
    oldest = age(max(row.age_s for row in rows)) if lag else "-"
    late = age(max(row.overdue_s for row in rows)) if lag else "-"
    first = rows[0]
    return first.queue, first.rung, f"all {len(rows)}", position, high, lag, oldest, late, *whole


def _document(queue: QueueLag) -> dict[str, Any]:
    from jobstream.control_listing import shown  # noqa: PLC0415 - not needed for --help

    return {
        "queue": queue.queue,
        "open_letters": queue.open_letters,
        "orders": [document(shown(order)) for order in queue.orders],
        "lag": queue.lag,
        "oldest_s": max((row.age_s for row in queue.partitions if not row.rung), default=0.0),
        "overdue_s": queue.overdue_s,
        "drain_s": queue.drain_s,
        "partitions": [
            {
                "topic": row.standing.place[0],
                "rung": row.rung or None,
                "partition": row.standing.place[1],
                "committed": row.standing.committed.offset if row.standing.committed else None,
                "mirrored": row.standing.mirror.position if row.standing.mirror else None,
                "position": row.standing.position,
                "start": row.standing.low,
                "end": row.standing.high,
                "lag": row.standing.lag,
                "oldest_s": row.age_s,
                "overdue_s": row.overdue_s,
            }
            for row in queue.partitions
        ],
    }
