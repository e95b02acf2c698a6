"""What the windows of the board say: a job's life, a queue, a cause, the keys. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.text import Text

from jobstream.cli.control_text import holds
from jobstream.cli.output import age, when
from jobstream.cli.printable import one_line, printable

if TYPE_CHECKING:
    from datetime import datetime

    from jobstream.answers.causes_screen import LetterGroupRow
    from jobstream.answers.job_screen import JobAnswer, JobStep
    from jobstream.answers.queues_screen import QueueAnswer

ARGS_CHARS_MAX = 4_000
TRACEBACK_CHARS_MAX = 8_000
DETAILS = ("state", "attempt", "rung", "waits", "reason", "error", "message", "frame")
"""What a step tells beside its place, in this order."""
LEAVE = "\n\nEsc: back to the board"

KEYS = """Keys of the board

  1 2 3 4    go to queues, what runs, dead letters, rules
  Tab        go to the next pane
  Up Down    move the cursor; also j and k, PgUp and PgDn, Home and End
  Enter      look: a queue's rungs, a job's life and why it waits, a cause's newest job
  i          look at any job, by its id or the beginning of it
  t          show job types in place of queues, and back
  /          show only lines with a text, in every pane; Esc shows all again
  p          pause the queue or job type at the cursor, or let it go on
  r          try the cause at the cursor with one job, then redrive all of it
  Ctrl-R     ask again now, for the pane with the cursor
  ?          this help
  q          leave; Ctrl-C does, too

Each pane says where its lines come from and how old they are: the log of Kafka (`log`), or the
database of `jobstream views` (`views`). A red text beside it says what is wrong. What runs is asked
of the workers of this machine. A queue is late when a job is overdue for longer than it promises.
Acts keep your name and your reason in the log of the app."""


def keys_text() -> Text:
    """The help."""
    return Text(KEYS + LEAVE)


def job_text(job: JobAnswer, why: str) -> Text:
    """A job: where it stands, why, its args, and all that happened to it."""
    head = f"Job {job.id}\n{job.type or 'type unknown'} on queue {job.queue or 'unknown'}: "
    text = Text(printable(head))
    text.append(printable(job.state), "bold")
    runs = f", on {job.runs_on} for {age(job.runs_s or 0)}" if job.runs_on else ""
    text.append(printable(f", attempt {job.attempt}{runs}\n"))
    text.append(printable(f"{why or 'asking why'}\n"), "bold" if why else "dim")
    for entry in job.orders:
        text.append(f"{holds(entry)}\n", "yellow")
    text.append("\nTimeline\n", "bold")
    _steps(text, job)
    if job.traceback:
        text.append("\nLast failure\n", "bold")
        text.append(printable(job.traceback[-TRACEBACK_CHARS_MAX:]))
    if job.args is not None:
        text.append("\nArgs, secrets masked\n", "bold")
        text.append(printable(_json(job.args)))
    return text.append(LEAVE, "dim")


def queue_text(queue: QueueAnswer) -> Text:
    """A queue: what waits on it and on its rungs, where it is worst, and what holds it."""
    row = queue.queue
    text = Text(printable(f"Queue {row.name}"), "bold")
    text.append(f"\n{row.lag:,} wait on it, the oldest for {age(row.oldest_s)}", "")
    text.append(f"; {row.on_ladder:,} run later; {row.letters:,} dead letters are open\n", "")
    promise = f"it promises to be overdue for at most {age(row.slo_s)}"
    text.append(f"{promise}, and is for {age(row.overdue_s)}\n", "")
    for title, numbers in (("On the queue, about", row.types), ("Later, about", row.waits)):
        if numbers:
            text.append(f"\n{title}\n", "bold")
        for name, number in sorted(numbers.items(), key=lambda each: -each[1]):
            text.append(f"{number:>12,.0f}  {one_line(name)}\n", "")
    if queue.rungs:
        text.append("\nRungs\n", "bold")
    for rung in queue.rungs:
        late = f", overdue for {age(rung.overdue_s)}" if rung.overdue_s else ""
        text.append(f"{rung.jobs:>12,}  on {one_line(rung.rung)}{late}\n", "")
    text.append("\nPartitions, the worst first\n", "bold")
    for each in queue.partitions[:20]:
        place = f"{each.rung or 'queue'}-{each.partition}"
        told = f"offset {each.position:,} of {each.end:,}, overdue for {age(each.overdue_s)}"
        text.append(f"{each.lag:>12,}  {one_line(place)}: {told}\n", "")
    if queue.orders:
        text.append("\nIn force\n", "bold")
    for entry in queue.orders:
        text.append(f"{holds(entry)}\n", "yellow")
    return text.append(LEAVE, "dim")


def cause_line(group: LetterGroupRow) -> str:
    """A cause in a sentence."""
    told = f"{group.error or group.reason}: {group.pattern}" if group.pattern else group.error
    return one_line(f"{group.type or 'unknown type'}, {told or group.reason}", 400)


def _steps(text: Text, job: JobAnswer) -> None:
    before: datetime | None = None
    for step in job.steps:
        text.append(_gap(before, step.at), "dim")
        text.append(f"{one_line(step.what):<14}", "bold")
        text.append(f"{_told(step)}\n", "")
        before = step.at
    if job.steps_left_out:
        text.append(f"{job.steps_left_out:,} steps in the middle are left out\n", "dim")


def _gap(before: datetime | None, at: datetime) -> str:
    if before is None:
        return f"{when(round(at.timestamp() * 1000))}  "
    return f"{'+' + age((at - before).total_seconds()):>29}  "


def _told(step: JobStep) -> str:
    detail = step.detail
    told = [f"{name} {detail[name]}" for name in DETAILS if detail.get(name)]
    place = f"{step.topic}:{step.partition}:{step.offset}" if step.topic else ""
    return one_line(", ".join([*told, place] if place else told), 600)


def _json(args: Any) -> str:  # noqa: ANN401 - any JSON
    text = json.dumps(args, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= ARGS_CHARS_MAX else f"{text[:ARGS_CHARS_MAX]}…"
