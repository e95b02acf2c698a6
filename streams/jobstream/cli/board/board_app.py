"""The board itself: which panes are seen, what keys do, and how it ends."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input, Static

from jobstream.answers.job_screen import job
from jobstream.answers.queues_screen import queue
from jobstream.answers.why_screen import why_of
from jobstream.cli.board.board_acts import BoardActs
from jobstream.cli.board.board_head import foot_text, head_text
from jobstream.cli.board.board_panes import CAUSES, QUEUES, RULES, RUNS, TYPES, BoardPane
from jobstream.cli.board.board_texts import job_text, keys_text, queue_text
from jobstream.cli.board.board_windows import ActField, ActWindow, TextWindow
from jobstream.cli.printable import one_line
from jobstream.cli.root import told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual import events
    from textual.app import ComposeResult
    from textual.geometry import Size

    from jobstream.cli.board.board_acts import Tone, What
    from jobstream.cli.board.board_lines import BoardLine
    from jobstream.cli.board.board_list import BoardList
    from jobstream.cli.board.board_source import BoardSource

COLUMNS_MIN, LINES_MIN = 60, 14
WIDE_COLUMNS = 120
"""From this width on all panes are seen at once; else queues and one more."""
FILTER_CHARS_MAX = 100
TOLD_S = 10.0
ID = ActField("id", "Id of a job, or the beginning of it", is_required=True, chars_max=400)


class Board(App[None]):
    """One app's. Blocks while it runs; `source` may be asked by nobody else."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head, #foot { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    #filter { height: 1; border: none; display: none; padding: 0; }
    #small { display: none; }
    #panes { height: 1fr; layout: vertical; }
    #panes.wide { layout: grid; grid-size: 2 3; grid-rows: 2fr 3fr 2fr; grid-gutter: 0 1; }
    #panes.wide > #queues, #panes.wide > #types, #panes.wide > #rules { column-span: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", show=False),
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("question_mark,f1", "keys", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "unfilter", show=False),
        Binding("1", "to(0)", show=False),
        Binding("2", "to(1)", show=False),
        Binding("3", "to(2)", show=False),
        Binding("4", "to(3)", show=False),
        Binding("t", "types", show=False),
        Binding("p", "pause", show=False),
        Binding("r", "redrive", show=False),
        Binding("i", "job", show=False),
    ]

    def __init__(self, source: BoardSource, every_s: float = 2.0, filter_text: str = "") -> None:
        super().__init__(ansi_color=True)
        self._source, self._filter = source, filter_text
        self._acts = BoardActs(self, source)
        kinds = (QUEUES, TYPES, RUNS, CAUSES, RULES)
        self.panes = {kind.name: BoardPane(source, kind, every_s) for kind in kinds}
        self._drawn: dict[str, Text] = {}
        self.panes[TYPES.name].display = False
        self._first, self._other = QUEUES.name, CAUSES.name
        """Which of the first two panes is seen, and which other one where there is no room."""
        self._at = self._first

    def compose(self) -> ComposeResult:
        """A line at the top, the panes, the filter while it is written, a line at the bottom."""
        yield Static(id="head", markup=False)
        with Container(id="panes"):
            yield from self.panes.values()
        yield Static(id="small", markup=False)
        yield Input(self._filter, id="filter", max_length=FILTER_CHARS_MAX, placeholder="filter")
        yield Static(id="foot", markup=False)

    def on_mount(self) -> None:
        """Leave by signals as by the key, and begin to draw what changes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self.exit)
        self.set_interval(0.5, self.draw_frame)
        self._arrange(self.size)
        self._focus(self._first)
        self._apply_filter(self._filter)

    def on_resize(self, event: events.Resize) -> None:
        """Show as many panes as there is room for."""
        self._arrange(event.size)

    def draw_frame(self) -> None:
        """The lines at the top and at the bottom."""
        queues = self.panes[QUEUES.name].answer
        runs = self.panes[RUNS.name].answer
        self._line("#head", head_text(self._source.site.name, queues, runs))
        self._line("#foot", foot_text(self._source.operations.list(), self._filter))

    async def asked(self, window: ActWindow) -> dict[str, str] | None:
        """Show a window, and wait for its answer; called in a worker."""
        return await self.push_screen_wait(window)

    def tell(self, text: str, tone: Tone = "information") -> None:
        """Say it in a corner, for some seconds."""
        self.notify(one_line(text, 600), severity=tone, timeout=TOLD_S, markup=False)

    def ask_now(self) -> None:
        """Ask again for every pane that is seen, as after an act."""
        for pane in self.panes.values():
            pane.action_ask_now()

    def action_go(self, steps: int) -> None:
        """Move to the next pane that is seen."""
        shown = [name for name, pane in self.panes.items() if pane.display]
        self._focus(shown[(shown.index(self._here().kind.name) + steps) % len(shown)])

    def action_to(self, number: int) -> None:
        """Move to a pane by its number; show it first where there is no room for all."""
        name = (self._first, RUNS.name, CAUSES.name, RULES.name)[number]
        if number:
            self._other = name
        self._arrange(self.size)
        self._focus(name)

    def action_types(self) -> None:
        """Show job types in place of queues, or queues again."""
        self._first = TYPES.name if self._first == QUEUES.name else QUEUES.name
        self._arrange(self.size)
        self._focus(self._first)

    def action_filter(self) -> None:
        """Write a filter, which is in force with each letter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_unfilter(self) -> None:
        """Show every line again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self._focus(self._here().kind.name)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Apply the filter."""
        if event.input.id == "filter":
            self._apply_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, and go back to the lines."""
        if event.input.id == "filter":
            event.input.display = False
            self._focus(self._at)

    async def action_keys(self) -> None:
        """Show the help."""
        await self.push_screen(TextWindow(keys_text()))

    def action_pause(self) -> None:
        """Pause what is at the cursor, or let it go on."""
        pane = self._here()
        line = pane.list.at_cursor
        if pane.kind not in {QUEUES, TYPES} or line is None:
            self.tell("p is for a queue (1) or a job type (t)")
            return
        what: What = "queue" if pane.kind is QUEUES else "type"
        self._act(partial(self._acts.turn, what, line))

    def action_redrive(self) -> None:
        """Try a cause, then redrive it."""
        pane = self._here()
        line = pane.list.at_cursor
        if pane.kind is not CAUSES or line is None:
            self.tell("r is for a cause of dead letters (3)")
            return
        groups = {group.fingerprint: group for group in pane.answer.groups}
        self._act(partial(self._acts.redrive, groups[line.subject]))

    def action_job(self) -> None:
        """Ask for an id, and look at that job."""

        async def look() -> None:
            found = await self.asked(ActWindow("Look at a job.", (ID,)))
            if found is not None:
                await self._look_at(found["id"])

        self._act(look)

    def on_board_list_chosen(self, event: BoardList.Chosen) -> None:
        """Look at what is at the cursor."""
        pane = self._here()
        if event.line.sample:
            self._act(partial(self._look_at, event.line.sample))
        elif pane.kind is QUEUES:
            self._act(partial(self._look_in, event.line))
        else:
            self.tell("no job belongs to this line")

    def action_leave(self) -> None:
        """End the board; asks first while an operation goes on, which would stop with it."""
        going = self._source.operations.running()
        if not going or isinstance(self.screen, ActWindow):
            self.exit()
            return
        text = f"{len(going)} operations go on in this process. They stop if you leave."

        async def leave() -> None:
            if await self.asked(ActWindow(text, (LEAVE,))) is not None:
                self.exit()

        self._act(leave)

    async def _look_at(self, job_id: str) -> None:
        window = TextWindow(Text(one_line(f"reading the log for job {job_id}")))
        await self.push_screen(window)
        try:
            found = await self._source.ask(job, self._source.site, job_id)
            window.show(job_text(found, ""))
        except Exception as error:  # noqa: BLE001 - the window tells
            window.show(Text(one_line(told(error), 2_000)))
            return
        try:
            why = (await self._source.ask(why_of, self._source.site, found.id)).sentence
        except Exception as error:  # noqa: BLE001 - as above; the views may know more than the log
            why = told(error)
        window.show(job_text(found, why))

    async def _look_in(self, line: BoardLine) -> None:
        window = TextWindow(Text(one_line(f"looking at queue {line.subject}")))
        await self.push_screen(window)
        try:
            found = await self._source.ask(queue, self._source.site, line.subject)
            window.show(queue_text(found))
        except Exception as error:  # noqa: BLE001 - as above
            window.show(Text(one_line(told(error), 2_000)))

    def _arrange(self, size: Size) -> None:
        wide = size.width >= WIDE_COLUMNS
        fits = size.width >= COLUMNS_MIN and size.height >= LINES_MIN
        panes = self.query_one("#panes")
        panes.set_class(wide, "wide")
        panes.display = fits
        small = self.query_one("#small", Static)
        small.display = not fits
        small.update(
            f"The board needs {COLUMNS_MIN} columns and {LINES_MIN} lines; this terminal has "
            f"{size.width} and {size.height}. Make it larger, or press q."
        )
        for name, pane in self.panes.items():
            first = name in {QUEUES.name, TYPES.name}
            is_shown = name == self._first if first else wide or name == self._other
            if pane.display != is_shown:
                pane.show(is_shown=is_shown)
        if not self._here().display:
            self._focus(self._first)

    def _apply_filter(self, text: str) -> None:
        self._filter = text
        for pane in self.panes.values():
            pane.filter_by(text)
        self.draw_frame()

    def _here(self) -> BoardPane:
        """The pane that keys are about. A widget has the focus later than it is told to take it."""
        return self.panes[self._at]

    def _focus(self, name: str) -> None:
        self._at = name
        self.panes[name].list.focus()
        for pane in self.panes.values():
            pane.call_after_refresh(pane.draw_title)

    def _act(self, act: Callable[[], Awaitable[None]]) -> None:
        async def heard() -> None:
            try:
                await act()
            except Exception as error:  # noqa: BLE001 - the board tells, and goes on
                self.tell(told(error), "error")

        self.run_worker(heard(), group="acts")

    def _line(self, where: str, text: Text) -> None:
        # At its end the screen is empty before the last of these calls.
        if text != self._drawn.get(where) and len(self.screen_stack) == 1:
            self._drawn[where] = text
            for line in self.screen_stack[0].query(where).results(Static):
                line.update(text, layout=False)


LEAVE = ActField("leave", "Press Enter to leave all the same")
