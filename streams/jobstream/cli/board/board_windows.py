"""Windows over the board: one asks for a reason, one shows a text. Each ends with Escape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from jobstream.acting.act_record import WHY_CHARS_MAX
from jobstream.cli.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

CSS = """
{0} { align: center middle; }
{0} > .window { width: 90%; max-width: 110; height: auto; max-height: 90%; padding: 1 2;
                background: $surface; border: solid $primary; }
{0} Input { margin-bottom: 0; height: 3; }
{0} Static { width: 1fr; }
"""


@dataclass(frozen=True, slots=True)
class ActField:
    """One line that is asked for."""

    name: str
    label: str
    value: str = ""
    is_required: bool = False
    chars_max: int = 40


REASON = ActField("why", "Reason, kept with the entry", "", is_required=True,
                  chars_max=WHY_CHARS_MAX)  # fmt: skip


class ActWindow(ModalScreen[dict[str, str] | None]):
    """Says what an act does, and asks for its reason; gives the fields, or None for Escape."""

    DEFAULT_CSS = CSS.replace("{0}", "ActWindow")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, text: str, fields: Sequence[ActField]) -> None:
        super().__init__()
        self._text, self._fields = printable(text), fields
        self._wrong = Static(markup=False)

    def compose(self) -> ComposeResult:
        """The text, a line for each field, and how to answer."""
        with Vertical(classes="window"):
            yield Static(Text(self._text))
            for each in self._fields:
                yield Static(Text(each.label))
                field = Input(each.value, id=each.name, max_length=each.chars_max)
                field.cursor_blink = False
                yield field
            yield self._wrong
            yield Static(Text("Enter: do it    Tab: next line    Esc: leave it", "dim"))

    def on_input_submitted(self) -> None:
        """Give what was written, once nothing is missing."""
        found = {each.name: self.query_one(f"#{each.name}", Input).value for each in self._fields}
        for each in self._fields:
            if each.is_required and not found[each.name].strip():
                self._wrong.update(Text(f"{each.label}: write one", "red"))
                self.query_one(f"#{each.name}", Input).focus()
                return
        _ = self.dismiss({name: text.strip() for name, text in found.items()})

    def action_leave(self) -> None:
        """Do nothing."""
        _ = self.dismiss(None)


class TextWindow(ModalScreen[None]):
    """A text to read, which may grow while it is read."""

    DEFAULT_CSS = CSS.replace("{0}", "TextWindow") + "TextWindow > .window { height: 90%; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "leave", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._shown = Static(text, markup=False)

    def compose(self) -> ComposeResult:
        """The text, which scrolls."""
        with VerticalScroll(classes="window"):
            yield self._shown

    def show(self, text: Text) -> None:
        """Show another text."""
        self._shown.update(text)

    def action_scroll(self, lines: int) -> None:
        """Move by so many lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_leave(self) -> None:
        """Go back to the board."""
        _ = self.dismiss(None)
