"""`jobstream offsets`: where a group stands on a queue, and moving it on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.options import brokers_now, json_option, moment, sink_of, view_of
from jobstream.cli.output import print_json, print_table, remark
from jobstream.cli.value_types import Moment
from jobstream.exits import OK
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.cli.app_name import AppName
    from jobstream.operate.offsets import Move, Target
    from jobstream.operate.positions import GroupName, GroupPlace

_group_option = click.option(
    "--group",
    type=click.Choice(["workers", "delay"]),
    default="workers",
    show_default=True,
    help="Consumer group: workers on the queue, or delay on all its rungs.",
)
_partition_option = click.option(
    "--partition", type=click.IntRange(0), metavar="N", help="Partition.  [default: all]"
)
COLUMNS = ("topic", "partition>", "committed>", "mirrored>", "goes on at>", "start>", "end>")
_SMALL = 10**11
"""Plain numbers below are offsets; above they are milliseconds since 1970."""


@click.group(cls=AppGroup)
def command() -> None:
    """Show and move the offsets of a consumer group."""


@command.command("show")
@click.argument("queue", metavar="QUEUE")
@_group_option
@_partition_option
@json_option
def show_command(
    queue: str, *, app: AppName, group: GroupName, partition: int | None, as_json: bool
) -> int:
    """Show where the group stands on QUEUE: its committed offset, its mirror, the log's end.

    `goes on at` is the higher of the committed and the mirrored offset: workers continue there.
    """
    from jobstream.operate.offsets import places_of  # noqa: PLC0415 - loads the Kafka client
    from jobstream.operate.positions import group_id, standings  # noqa: PLC0415 - as above

    view = view_of(app)
    places = places_of(view.queues(queue)[0], group, partition)
    found = list(standings(view, group, places).values())
    members = view.cluster.members(group_id(view.app, group))
    if as_json:
        print_json({"members": members, "partitions": [_document(each) for each in found]})
    else:
        print_table(COLUMNS, [_row(each) for each in found])
        remark(f"{counted(len(members), 'member')} in group {group_id(view.app, group)!r}")
    return OK


@command.command("reset")
@click.argument("queue", metavar="QUEUE")
@_group_option
@_partition_option
@click.option("--to", metavar="earliest|latest|OFFSET|TIME", required=True,
              type=Moment("earliest", "latest"),
              help="New place of the group. TIME is a moment, as in 2026-01-31T12:00 or 2h "
                   "(2 hours ago).")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the moves; change nothing.")
@json_option
def reset_command(
    queue: str,
    *,
    app: AppName,
    group: GroupName,
    partition: int | None,
    to: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Move the group on QUEUE: set its committed offset and its mirror.

    The command refuses while the group has members. After a move back, workers run only jobs
    without a row in the dedup table; jobs that were settled within the dedup window are dropped
    again. A move forward skips jobs.
    """
    from jobstream.operate import offsets  # noqa: PLC0415 - as above

    view = view_of(app)
    places = offsets.places_of(view.queues(queue)[0], group, partition)
    moves = offsets.plan_reset(view, group, places, target_of(to, brokers_now(view)))
    offsets.refuse_if_busy(view, group)
    if not dry_run:
        with sink_of(view) as sink:
            offsets.reset(view, sink, group, moves)
    _report(moves, dry_run=dry_run, as_json=as_json)
    return OK


def target_of(text: str, now_ms: Callable[[], int]) -> Target:
    """Where `--to` points; raises ConfigError. `now_ms` is asked only for a length of time."""
    from jobstream.operate import offsets  # noqa: PLC0415 - as above

    if text == "earliest":
        return offsets.earliest
    if text == "latest":
        return offsets.latest
    if text.isascii() and text.isdigit() and int(text) < _SMALL:
        return offsets.at_offset(int(text))
    return offsets.at_time(moment("--to", text, now_ms) or 0)


def _report(moves: list[Move], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json([{**_document(m.standing), "to": m.to, "done": not dry_run} for m in moves])
        return
    rows = [(*m.standing.place, m.standing.on_record, m.to, m.to - m.standing.on_record)
            for m in moves]  # fmt: skip
    if rows:
        print_table(("topic", "partition>", "from>", "to>", "records>"), rows)
    what = "would be moved; nothing was changed" if dry_run else "moved"
    remark(f"{counted(len(moves), 'partition')} {what}")


def _row(each: GroupPlace) -> tuple[Any, ...]:
    committed = each.committed.offset if each.committed else "-"
    mirrored = each.mirror.position if each.mirror else "-"
    return *each.place, committed, mirrored, each.position, each.low, each.high


def _document(each: GroupPlace) -> dict[str, Any]:
    return {
        "topic": each.place[0],
        "partition": each.place[1],
        "committed": each.committed.offset if each.committed else None,
        "mirrored": each.mirror.position if each.mirror else None,
        "position": each.position,
        "start": each.low,
        "end": each.high,
    }
