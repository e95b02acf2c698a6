"""The lines at the top and at the bottom of the board. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from jobstream.cli.board.board_lines import count
from jobstream.cli.printable import one_line
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.acting.operations import OperationNow
    from jobstream.answers.queues_screen import QueuesAnswer
    from jobstream.answers.workers_screen import WorkersAnswer

HINTS = "? keys  Enter look  p pause  r redrive  / filter  t types  1-4 panes  q leave"


def head_text(app: str, queues: QueuesAnswer | None, runs: WorkersAnswer | None) -> Text:
    """The app and its sums."""
    text = Text(one_line(f" top: {app} "), "bold reverse")
    if queues is None:
        return text.append("  asking", "dim")
    rows = queues.queues
    late = sum(row.is_late for row in rows)
    text.append(f"  {late:,} late of {len(rows):,} queues", "bold red" if late else "")
    members, idle = queues.workers.members, queues.workers.idle
    workers = counted(members, "worker") + (f" ({idle} idle)" if idle else "")
    text.append(", ").append(workers, "" if members else "bold red")
    delayers = queues.delayers.members
    text.append(", ").append(counted(delayers, "delayer"), "" if delayers else "bold red")
    told = [
        f"{count(sum(row.lag for row in rows))} waiting",
        f"{count(sum(row.on_ladder for row in rows))} later",
        f"{count(sum(row.letters for row in rows))} dead",
    ]
    if runs is not None:
        told.append(f"{count(sum(row.running for row in runs.processes))} running here")
    return text.append(f"; {', '.join(told)}")


def foot_text(operations: Sequence[OperationNow], filter_text: str) -> Text:
    """How far the newest operation is, what is filtered, and the most used keys."""
    text = Text()
    if operations:
        now = operations[0]
        outcomes = ", ".join(f"{number:,} {name}" for name, number in now.outcomes.items())
        trouble = now.error or (now.failures[0] if now.failures else "")
        told = f" {now.what} {now.state}: {now.done:,} of {now.total:,}, {outcomes} {trouble} "
        tone = "yellow" if now.state == "running" or trouble else "green"
        text.append(one_line(told), tone)
    if filter_text:
        text.append(one_line(f" filter {filter_text!r} "), "reverse")
    return text.append(f" {HINTS}", "dim")
