"""A list of lines with a cursor: only what is seen is drawn, so its length costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from jobstream.cli.board.board_lines import BAD, CALM, OFF, WARN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.cli.board.board_lines import BoardColumn, BoardLine

STYLES = {
    BAD: Style(color="red", bold=True),
    WARN: Style(color="yellow"),
    CALM: Style(),
    OFF: Style(dim=True),
}
HEAD = Style(bold=True, underline=True)
GAP = 2
MARK = "> "
"""Before the line at the cursor: seen without any colour."""


class BoardList(ScrollView, can_focus=True):
    """Lines under a head of columns. The cursor stays at its subject when lines are exchanged."""

    DEFAULT_CSS = "BoardList { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Chosen(Message):
        """Somebody wants to look at the line at the cursor."""

        def __init__(self, line: BoardLine) -> None:
            super().__init__()
            self.line = line

    def __init__(self, columns: Sequence[BoardColumn]) -> None:
        super().__init__()
        self.columns = columns
        self._lines: Sequence[BoardLine] = ()
        self._cursor = 0

    @property
    def shown(self) -> Sequence[BoardLine]:
        """The lines, in order."""
        return self._lines

    @property
    def at_cursor(self) -> BoardLine | None:
        """The line that acts are about; None where there are none."""
        return self._lines[self._cursor] if self._lines else None

    def exchange(self, lines: Sequence[BoardLine]) -> None:
        """Show these lines in place of those before."""
        if lines == self._lines:
            return
        held = self.at_cursor
        self._lines = lines
        places = (n for n, each in enumerate(lines) if held and each.subject == held.subject)
        self._cursor = next(places, min(self._cursor, max(0, len(lines) - 1)))
        self.virtual_size = Size(self.size.width, len(lines) + 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the widget: the head first, then lines from where it is scrolled to."""
        width = self.size.width
        if y == 0:
            titles = tuple(column.title for column in self.columns)
            return self._strip("  ", titles, width, HEAD)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[index]
        here = index == self._cursor
        style = STYLES[line.tone]
        if here and self.has_focus:
            style += Style(reverse=True)
        return self._strip(MARK if here else "  ", line.cells, width, style)

    def _strip(self, mark: str, cells: Sequence[str], width: int, style: Style) -> Strip:
        fixed = sum(column.width + GAP for column in self.columns if column.width)
        rest = max(0, width - fixed - len(mark))
        texts = [mark]
        for column, cell in zip(self.columns, cells, strict=True):
            room = column.width or rest
            fitted = cut_to(cell, room)
            blank = " " * (room - cell_len(fitted))
            texts.append(blank + fitted if column.right else fitted + blank)
            texts.append(" " * GAP if column.width else "")
        whole = set_cell_size("".join(texts), width)
        return Strip([Segment(whole, self.rich_style + style)], width)

    def action_move(self, lines: int) -> None:
        """Move the cursor by so many lines."""
        if self._lines:
            self._cursor = max(0, min(len(self._lines) - 1, self._cursor + lines))
            self._keep_in_sight()
            self.refresh()

    def action_page(self, pages: int) -> None:
        """Move the cursor by so many screens."""
        self.action_move(pages * max(1, self.size.height - 2))

    def action_choose(self) -> None:
        """Look at what is at the cursor."""
        if self.at_cursor is not None:
            self.post_message(self.Chosen(self.at_cursor))

    def on_focus(self) -> None:
        """Show where the cursor is."""
        self.refresh()

    def on_blur(self) -> None:
        """Show that keys go elsewhere."""
        self.refresh()

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.virtual_size = Size(self.size.width, len(self._lines) + 1)
        self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        top, room = self.scroll_offset.y, max(1, self.size.height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + room:
            self.scroll_to(y=self._cursor - room + 1, animate=False)


def cut_to(text: str, cells: int) -> str:
    """The text in so many cells of a terminal at most, with a sign where it was cut."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, cells - 1) + "…" if cells > 0 else ""
