"""A pane of the board: one question asked again and again, and what was answered last.

The next question is asked when the one before was answered, so slow answers never pile up: the pane
shows how old its lines are, and since when it waits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from jobstream.answers.causes_screen import letter_groups
from jobstream.answers.queues_screen import queues
from jobstream.answers.types_screen import types
from jobstream.answers.workers_screen import workers
from jobstream.cli.board.board_lines import (
    CAUSE_COLUMNS,
    QUEUE_COLUMNS,
    RULE_COLUMNS,
    RUN_COLUMNS,
    TYPE_COLUMNS,
    cause_lines,
    queue_lines,
    rule_lines,
    run_lines,
    type_lines,
)
from jobstream.cli.board.board_list import BoardList
from jobstream.cli.board.board_questions import rules_in_force
from jobstream.cli.output import age
from jobstream.cli.printable import one_line
from jobstream.cli.root import told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult

    from jobstream.answers.as_of import AsOf
    from jobstream.cli.board.board_lines import BoardColumn, BoardLine
    from jobstream.cli.board.board_source import BoardSource

ASKS_FOR_S = 3.0
"""A question that takes longer is told beside the age of the last answer."""
TITLE_CHARS_MAX = 300


class PaneKind(NamedTuple):
    """What a pane shows."""

    name: str
    title: str
    question: Callable[..., Any]
    columns: Sequence[BoardColumn]
    lines_of: Callable[[Any, float], list[BoardLine]]
    rests: float = 1.0
    """How many intervals to wait after an answer: more for what costs more to read."""


QUEUES = PaneKind("queues", "Queues", queues, QUEUE_COLUMNS, queue_lines)
TYPES = PaneKind("types", "Job types", types, TYPE_COLUMNS, type_lines)
RUNS = PaneKind("runs", "Running on this machine", workers, RUN_COLUMNS, run_lines)
CAUSES = PaneKind("causes", "Dead letters by cause", letter_groups, CAUSE_COLUMNS, cause_lines, 5.0)
RULES = PaneKind("rules", "Breakers, limits, orders", rules_in_force, RULE_COLUMNS, rule_lines)


class BoardPane(Vertical):
    """A title with the age of its answer, and a list."""

    DEFAULT_CSS = """
    BoardPane { height: 1fr; }
    BoardPane > Static { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "ask_now", show=False),
        # Over what a screen does: one pane after the other, and none that is hidden.
        Binding("tab", "app.go(1)", show=False),
        Binding("shift+tab", "app.go(-1)", show=False),
    ]

    def __init__(self, source: BoardSource, kind: PaneKind, every_s: float) -> None:
        super().__init__(id=kind.name)
        self._source, self.kind, self._every_s = source, kind, every_s
        self._title = Static(markup=False)
        self.list = BoardList(kind.columns)
        self._all: Sequence[BoardLine] = ()
        self._told: AsOf | None = None
        self._told_at_s = 0.0
        self._asked_at_s: float | None = None
        self._trouble = ""
        self._filter = ""
        self._now = asyncio.Event()
        self._drawn = Text()
        self.answer: Any = None
        """The last answer, whatever its age; None before the first."""

    def compose(self) -> ComposeResult:
        """The title over the list."""
        yield self._title
        yield self.list

    def on_mount(self) -> None:
        """Begin to ask."""
        self.run_worker(self._ask_on(), group="asking")
        self.set_interval(1.0, self.draw_title)
        self.draw_title()

    def show(self, *, is_shown: bool) -> None:
        """Show or hide it; a hidden one asks nothing."""
        self.display = is_shown
        self._now.set()

    def filter_by(self, text: str) -> None:
        """Show the lines with that text alone."""
        self._filter = text
        self._draw()

    def action_ask_now(self) -> None:
        """Ask without waiting for the interval."""
        self._now.set()

    async def _ask_on(self) -> None:
        while True:
            self._now.clear()
            if not self.display:
                await self._now.wait()
                continue
            await self._ask_once()
            try:
                await asyncio.wait_for(self._now.wait(), self._every_s * self.kind.rests)
            except TimeoutError:
                continue

    async def _ask_once(self) -> None:
        self._asked_at_s = self._source.monotonic()
        try:
            answer = await self._source.ask(self.kind.question, self._source.site)
            # An answer that can't be drawn is trouble, too: what stands there is the one before.
            self._all = self.kind.lines_of(answer, self._source.now_s())
            self.answer, self._told, self._trouble = answer, answer.as_of, ""
            self._told_at_s = self._source.monotonic()
            self._draw()
        except Exception as error:  # noqa: BLE001 - the pane tells; the next question comes
            self._trouble = told(error)
        finally:
            self._asked_at_s = None
        self.draw_title()

    def _draw(self) -> None:
        shown = [each for each in self._all if each.meets(self._filter)]
        self.list.exchange(shown)
        self.draw_title()

    def draw_title(self) -> None:
        """Say what this is, how old it is and from where, and what is wrong."""
        if self.app.screen is not self.screen:  # A window is over it, and would be drawn anew.
            return
        there, shown = len(self._all), len(self.list.shown)
        numbers = f"{shown} of {there}" if self._filter else f"{there}"
        bold = "bold" if not self.list.has_focus else "bold reverse"
        title = Text(
            f" {self.kind.title} {numbers} " if self.answer else f" {self.kind.title} ", bold
        )
        trouble = self._wrong()
        title.append(f" {self._age()}", "dim")
        if trouble:
            title.append(f"  {one_line(trouble, TITLE_CHARS_MAX)}", "red")
        if title != self._drawn:
            self._drawn = title
            self._title.update(title, layout=False)

    def _age(self) -> str:
        if self._told is None:
            return "asking"
        since_s = self._told.age_s + self._source.monotonic() - self._told_at_s
        return f"{self._told.source}, {age(max(0.0, since_s))} old"

    def _wrong(self) -> str:
        if self._trouble:
            return self._trouble
        told = self._told
        if self._asked_at_s is not None:
            waits_s = self._source.monotonic() - self._asked_at_s
            if waits_s >= ASKS_FOR_S:
                return f"asking for {age(waits_s)}"
        return (told.stale or told.why_log) if told is not None else ""
