"""What the board shows of each answer: lines of cells, made harmless for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream.cli.control_text import by, kind_of
from jobstream.cli.output import age
from jobstream.cli.printable import one_line
from jobstream_processors.core.orders import CANCEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from jobstream.answers.causes_screen import LetterGroupRow, LetterGroupsAnswer
    from jobstream.answers.limits_screen import BreakerNow, LimitNow
    from jobstream.answers.queues_screen import QueueRow, QueuesAnswer
    from jobstream.answers.types_screen import TypeRow, TypesAnswer
    from jobstream.answers.workers_screen import WorkersAnswer
    from jobstream.cli.board.board_questions import RulesAnswer
    from jobstream.control_listing import ControlEntry

CELL_CHARS_MAX = 300
BAD, WARN, CALM, OFF = "bad", "warn", "calm", "off"
"""Tones: a colour beside a word that says the same, never in its place."""
NONE = "-"


class BoardColumn(NamedTuple):
    """A column: its title, and its width in cells; the one of width 0 takes what is left."""

    title: str
    width: int
    right: bool = False


class BoardLine(NamedTuple):
    """One thing: what is looked at or acted on, as it is, and its cells, made harmless."""

    subject: str
    cells: tuple[str, ...]
    tone: str = CALM
    is_paused: bool = False
    sample: str = ""
    """The id of a job to look at; empty if there is none."""

    def meets(self, text: str) -> bool:
        """Whether it has that text, in whatever letters; an empty one is met by all."""
        return not text or text.casefold() in " ".join(self.cells).casefold()


QUEUE_COLUMNS = (
    BoardColumn("queue", 14), BoardColumn("state", 7), BoardColumn("lag", 9, right=True),
    BoardColumn("oldest", 7, right=True), BoardColumn("overdue", 7, right=True),
    BoardColumn("promise", 7, right=True), BoardColumn("later", 8, right=True),
    BoardColumn("dead", 6, right=True), BoardColumn("why", 0),
)  # fmt: skip
TYPE_COLUMNS = (
    BoardColumn("job type", 24), BoardColumn("state", 8), BoardColumn("queue", 14),
    BoardColumn("waiting", 9, right=True), BoardColumn("dead", 6, right=True),
    BoardColumn("ends/s", 7, right=True), BoardColumn("failed", 7, right=True),
    BoardColumn("p95", 7, right=True), BoardColumn("breaker", 0),
)  # fmt: skip
RUN_COLUMNS = (
    BoardColumn("job type", 18), BoardColumn("for", 6, right=True), BoardColumn("state", 9),
    BoardColumn("queue", 12), BoardColumn("try", 3, right=True), BoardColumn("worker", 0),
)  # fmt: skip
CAUSE_COLUMNS = (
    BoardColumn("jobs", 7, right=True), BoardColumn("last", 6, right=True),
    BoardColumn("job type", 16), BoardColumn("cause", 0),
)  # fmt: skip
RULE_COLUMNS = (
    BoardColumn("rule", 14), BoardColumn("state", 10), BoardColumn("ends in", 7, right=True),
    BoardColumn("name", 22), BoardColumn("why", 0),
)  # fmt: skip


def line(
    subject: str,
    cells: Iterable[object],
    tone: str = CALM,
    *,
    is_paused: bool = False,
    sample: str = "",
) -> BoardLine:
    """One with cells that can't move a terminal's cursor, ring its bell or hide a text."""
    harmless = tuple(one_line(str(cell), CELL_CHARS_MAX) for cell in cells)
    return BoardLine(subject, harmless, tone, is_paused, sample)


def queue_lines(answer: QueuesAnswer, _: float) -> list[BoardLine]:
    """The late ones first, as the answer has them."""
    return [_queue(row) for row in answer.queues]


def type_lines(answer: TypesAnswer, _: float) -> list[BoardLine]:
    """Paused ones first, then by what waits."""
    rows = sorted(answer.types, key=lambda row: (not row.paused, -row.waiting, row.name))
    return [_type(row) for row in rows]


def run_lines(answer: WorkersAnswer, _: float) -> list[BoardLine]:
    """What workers of this machine run, the longest first."""
    return [
        line(
            run.id,
            (run.type, age(run.seconds), "too long" if run.stuck else "running", run.queue,
             run.attempt, run.worker),
            BAD if run.stuck else CALM,
            sample=run.id,
        )
        for run in answer.runs
    ]  # fmt: skip


def cause_lines(answer: LetterGroupsAnswer, now_s: float) -> list[BoardLine]:
    """Causes of dead letters, those with the most jobs first."""
    return [
        line(
            group.fingerprint,
            (count(group.count), _since(group.last_at, now_s), group.type or "unknown",
             _cause(group)),
            BAD,
            sample=group.sample,
        )
        for group in answer.groups
    ]  # fmt: skip


def rule_lines(answer: RulesAnswer, now_s: float) -> list[BoardLine]:
    """What is open or changed first, then what was ordered, then the rest."""
    rules = answer.rules
    found = [_breaker(each, now_s) for each in rules.breakers]
    found += [_limit(each, now_s) for each in rules.limits]
    found += [_order(each, now_s) for each in answer.orders]
    return sorted(found, key=lambda each: each.tone == CALM)


def count(number: float) -> str:
    """A number with commas between thousands; an estimate without its fraction."""
    return f"{round(number):,}"


def _queue(row: QueueRow) -> BoardLine:
    state, tone = _state(row)
    waits = bool(row.lag)
    return line(
        row.name,
        (
            row.name, state, count(row.lag),
            age(row.oldest_s) if waits else NONE,
            age(row.overdue_s) if row.overdue_s else NONE,
            age(row.slo_s), count(row.on_ladder), count(row.letters), _why(row),
        ),
        tone,
        is_paused=row.paused is not None,
    )  # fmt: skip


def _state(row: QueueRow) -> tuple[str, str]:
    if row.paused is not None:
        return "paused", BAD if row.is_late else WARN
    if row.is_late:
        return "late", BAD
    return ("busy", CALM) if row.lag else ("idle", OFF)


def _why(row: QueueRow) -> str:
    if row.paused is not None:
        return f"paused {by(row.paused)}"
    told = []
    if row.types:
        told.append(f"on it {_most(row.types)}")
    if row.waits:
        told.append(f"later for {_most(row.waits)}")
    return "; ".join(told)


def _most(numbers: Mapping[str, float]) -> str:
    """The two largest."""
    largest = sorted(numbers.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {count(number)}" for name, number in largest[:2])


def _type(row: TypeRow) -> BoardLine:
    went = row.went
    rates = (
        (f"{went.ended_per_s:.1f}", count(went.failed),
         age(went.p95_ms / 1000) if went.p95_ms is not None else NONE)
        if went is not None
        else (NONE, NONE, NONE)
    )  # fmt: skip
    state = "paused" if row.paused else "on" if row.is_declared else "unknown"
    tone = WARN if row.paused or not row.is_declared else CALM
    cells = (
        row.name, state, row.queue or NONE, count(row.waiting), count(row.letters), *rates,
        row.breaker or NONE,
    )  # fmt: skip
    return line(row.name, cells, tone, is_paused=row.paused)


def _cause(group: LetterGroupRow) -> str:
    error = group.error or group.reason
    told = f"{error}: {group.pattern}" if group.pattern else error
    tried = "tried in vain; " if group.failed_trial is not None else ""
    return f"{tried}{told} ({group.place})" if group.place else f"{tried}{told}"


def _breaker(each: BreakerNow, now_s: float) -> BoardLine:
    entry = each.held or each.opened
    why = by(entry) if entry is not None else ", ".join(each.types)
    tone = CALM if each.state == "closed" and each.held is None else BAD
    held = f"{each.state}, held" if each.held is not None else each.state
    return line(each.name, ("breaker", held, _left(entry, now_s), each.name, why), tone)


def _limit(each: LimitNow, now_s: float) -> BoardLine:
    if each.changed is None:
        return line(each.name, ("limit", "as coded", NONE, each.name, each.declared))
    why = f"{_numbers(each.changed)}, {by(each.changed)}"
    cells = ("limit", "changed", _left(each.changed, now_s), each.name, why)
    return line(each.name, cells, WARN)


def _order(entry: ControlEntry, now_s: float) -> BoardLine:
    cells = (kind_of(entry), "in force", _left(entry, now_s), entry.subject, by(entry))
    sample = entry.subject if entry.kind == CANCEL else ""
    return line(entry.subject, cells, WARN, sample=sample)


def _numbers(entry: ControlEntry) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in entry.limits.items())


def _left(entry: ControlEntry | None, now_s: float) -> str:
    if entry is None:
        return NONE
    return age(max(0.0, entry.expires_at.timestamp() - now_s))


def _since(moment: datetime, now_s: float) -> str:
    return age(max(0.0, now_s - moment.timestamp()))
