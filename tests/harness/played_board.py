"""The board of `jobstream top` over the answers of one bad minute, and its picture as text.

`python -m tests.harness.played_board` prints the picture that docs/how-to/top.md shows.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console
from tests.harness.bad_minute import ANSWERS, JOB_ID, LIMITS, NOW, TOLD, ago
from tests.harness.waiting import TooLate

from jobstream import App
from jobstream.answers.app_site import Site
from jobstream.answers.causes_screen import FailedTrialRow, LetterGroupRow, LetterGroupsAnswer
from jobstream.answers.why_screen import WhyAnswer
from jobstream.cli.board.board_app import Board
from jobstream.cli.board.board_questions import RulesAnswer
from jobstream.cli.board.board_source import BoardSource
from jobstream.control_listing import ControlEntry
from jobstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from textual.pilot import Pilot

LIMIT_S = 120.0
QUIET = ControlEntry("quiet", "web-1:3188", "lin", "looking at its memory", ago(minutes=3),
                     NOW + timedelta(days=365))  # fmt: skip
GROUPS = LetterGroupsAnswer(
    TOLD,
    (
        LetterGroupRow("5f1d3c0b9a7e", "send_receipt", "MailServerAway", "attempts",
                       "shop.mailing:send_receipt", "* did not answer in 2 s", 181,
                       ago(hours=2), ago(seconds=90), JOB_ID, ("mail",), {"v41": 181},
                       {"v41": 1.0}, None),
        LetterGroupRow("c20a77d1e4f2", "charge_card", "CardRefused", "dead_on",
                       "shop.bank:charge_card", "insufficient funds", 21, ago(hours=9),
                       ago(minutes=14), JOB_ID, ("payments",), {}, {},
                       FailedTrialRow(JOB_ID, 1, ago(minutes=14))),
        LetterGroupRow("00b1c2d3e4f5", "", "DecodeError", "undecodable", "",
                       "no schema has the fingerprint *", 3, ago(days=1), ago(hours=23),
                       "@shop.webhooks:0:4711", ("webhooks",), {}, {}, None),
    ),
    0,
    205,
)  # fmt: skip
WHY_OF = WhyAnswer(
    TOLD, JOB_ID, "send_receipt", "mail", "dead", ago(minutes=2),
    f"job {JOB_ID} (send_receipt, queue mail) is dead: all its attempts failed.", 3, None, "",
    None, None, None, "", (), "", None, 0,
)  # fmt: skip
BOARD_ANSWERS: Mapping[str, Any] = {
    **ANSWERS,
    "letter_groups": GROUPS,
    "rules_in_force": RulesAnswer(TOLD, LIMITS, (QUIET,)),
    "why_of": WHY_OF,
}


class PreparedSource(BoardSource):
    """A source whose answers are there already, and whose clocks stand still; acts are as ever."""

    def __init__(
        self, answers: Mapping[str, Any] = BOARD_ANSWERS, site: Site | None = None
    ) -> None:
        super().__init__(site or Site(App("shop", settings=Settings.load({})), has_code=True))
        self.answers = answers
        self.asked: list[str] = []
        """What was asked for, by name."""

    async def ask(self, function: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401 - any answer
        name = function.__name__
        self.asked.append(name)
        if name not in self.answers:
            return await super().ask(function, *given)
        found = self.answers[name]
        if isinstance(found, Exception):
            raise found
        return await super().ask(found, *given) if callable(found) else found

    def now_s(self) -> float:
        return NOW.timestamp()

    def monotonic(self) -> float:
        return 0.0


def picture(board: Board) -> str:
    """What the terminal shows, as text without colours."""
    width, height = board.size
    to = Console(file=StringIO(), width=width, height=height, force_terminal=False, no_color=True)
    to.print(board.screen._compositor)  # noqa: SLF001 - the only way to its text
    drawn = to.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO from above
    return "\n".join(line.rstrip() for line in drawn.splitlines()).rstrip()


@asynccontextmanager
async def played(
    source: BoardSource | None = None, size: tuple[int, int] = (120, 34), every_s: float = 2.0
) -> AsyncIterator[tuple[Board, Pilot[None]]]:
    """A board in no terminal, drawn once, and whoever presses its keys."""
    board = Board(source or PreparedSource(), every_s)
    async with board.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        board.draw_frame()
        await pilot.pause()
        yield board, pilot


async def sees(pilot: Pilot[None], *words: str, limit_s: float = LIMIT_S) -> str:
    """Wait until all of these words are on the screen; returns its picture, or raises TooLate."""
    assert isinstance(pilot.app, Board)
    deadline = time.monotonic() + limit_s
    while missing := [each for each in words if each not in (shown := picture(pilot.app))]:
        if time.monotonic() > deadline:
            message = f"waited {limit_s:g} s in vain for {missing} in:\n{shown}"
            raise TooLate(message)
        pilot.app.draw_frame()
        await pilot.pause(0.02)
    return shown


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def press(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()


async def escape(pilot: Pilot[None]) -> None:
    """Leave the window that is over the board; until it is gone, keys are its own."""
    await press(pilot, "escape")
    deadline = time.monotonic() + LIMIT_S
    while len(pilot.app.screen_stack) > 1:
        if time.monotonic() > deadline:
            message = f"waited {LIMIT_S:g} s in vain for a window to close"
            raise TooLate(message)
        await pilot.pause(0.02)


async def write(pilot: Pilot[None], text: str) -> None:
    await press(pilot, *("space" if char == " " else char for char in text))


async def drawn(width: int = 120, height: int = 34) -> str:
    """The picture of the bad minute."""
    async with played(size=(width, height)) as (board, _):
        return picture(board)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(drawn()) + "\n")
