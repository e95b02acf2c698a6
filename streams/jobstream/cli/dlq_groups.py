"""`jobstream dlq groups`: the open dead letters by what their jobs died of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.letter_filter import chosen, filter_of, filter_options, said
from jobstream.cli.options import brokers_now, json_option, or_ours, queue_option, view_of
from jobstream.cli.output import age, iso, print_json_line, print_table, remark
from jobstream.exits import OK

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.letter_groups import LetterGroup

GROUPS_LIMIT = 100
RELEASES_SHOWN = 3
COLUMNS = (
    "cause",
    "letters>",
    "type",
    "error",
    "message",
    "first>",
    "last>",
    "sample",
    "trial",
    "releases",
)


@click.command("groups", cls=AppCommand)
@queue_option
@filter_options
@click.option("--limit", type=click.IntRange(1), metavar="N", default=GROUPS_LIMIT,
              show_default=True, help="List at most this many causes.")  # fmt: skip
@json_option
def groups_command(
    app: AppName, *, queue: str | None, limit: int, as_json: bool, **conditions: object
) -> int:
    """List the causes of open dead letters, the most frequent first.

    Letters have one cause if their job type, their error, the function that raised it and the
    message without numbers, ids, paths and quoted texts are the same. Each cause has a fingerprint,
    which other commands take. JSON has one object a line.
    """
    from jobstream.operate.failed_redrives import Trials  # noqa: PLC0415 - as above
    from jobstream.operate.letter_groups import groups_of  # noqa: PLC0415 - with the command only

    view, trials = view_of(app), Trials()
    now_ms = brokers_now(view)
    wanted = filter_of(conditions, now_ms)
    found = groups_of(chosen(app, view, queue, wanted, said(conditions), trials=trials), trials)
    shown = found[:limit]
    if as_json:
        for group in shown:
            print_json_line(summary(group))
    elif shown:
        at_ms = or_ours(now_ms)()
        print_table(COLUMNS, [_row(group, at_ms) for group in shown])
    if len(found) > len(shown):
        remark(f"{len(found) - len(shown)} more; raise --limit or narrow with --type, --since …")
    return OK


def summary(group: LetterGroup) -> dict[str, Any]:
    """A group as JSON says it."""
    return {
        "fingerprint": group.fingerprint,
        "type": group.job_type or None,
        "error": group.error or None,
        "reason": group.reason,
        "place": group.place or None,
        "message": group.pattern or None,
        "count": group.count,
        "first_at": iso(group.first_ms),
        "last_at": iso(group.last_ms),
        "sample": group.sample,
        "failed_trial": _failed(group),
        "queues": list(group.queues),
        "releases": [
            {"release": release or None, "count": count, "share": round(group.share(release), 4)}
            for release, count in group.releases.items()
        ],
    }


def _failed(group: LetterGroup) -> dict[str, Any] | None:
    failed = group.failed_trial
    if failed is None:
        return None
    return {"id": failed.job_id, "redrive": failed.redrive, "died_at": iso(failed.died_ms)}


def _row(group: LetterGroup, now_ms: int) -> tuple[Any, ...]:
    return (
        group.fingerprint,
        group.count,
        group.job_type or "?",
        " at ".join(text for text in (group.error or group.reason, group.place) if text),
        group.pattern,
        age(max(0, now_ms - group.first_ms) / 1000),
        age(max(0, now_ms - group.last_ms) / 1000),
        group.sample,
        _trial(group, now_ms),
        _releases(group),
    )


def _trial(group: LetterGroup, now_ms: int) -> str:
    failed = group.failed_trial
    if failed is None:
        return ""
    return f"failed {age(max(0, now_ms - failed.died_ms) / 1000)} ago"


def _releases(group: LetterGroup) -> str:
    """The share of each release, the largest first; "" where no letter names one."""
    if not any(group.releases):
        return ""
    told = [
        f"{release or 'not named'} {group.share(release):.0%}"
        for release in list(group.releases)[:RELEASES_SHOWN]
    ]
    hidden = len(group.releases) - len(told)
    return ", ".join(told) + (f" and {hidden} more" if hidden else "")
