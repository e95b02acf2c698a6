"""What the board does on request: each act asks first, runs on a thread, and is told when it ended.

The acts are those of the pages and the API, so they leave the same entries and lines of audit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from jobstream.acting.control_acts import pause_queue, pause_type, resume_queue, resume_type
from jobstream.acting.letter_acts import LettersMeant, redrive_letters, try_cause
from jobstream.cli.board.board_texts import cause_line
from jobstream.cli.board.board_windows import REASON, ActField, ActWindow
from jobstream.cli.dlq_try import trial_words
from jobstream.cli.root import told
from jobstream.operate.filters import LetterFilter
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from jobstream.answers.causes_screen import LetterGroupRow
    from jobstream.cli.board.board_lines import BoardLine
    from jobstream.cli.board.board_source import BoardSource

TRIAL_WAITS = "60s"
FOR = ActField("for_", "For how long, as in 30m or 2h; it ends by itself", "1h", is_required=True)
RATE = ActField("rate", "How many at most, as in 50/s or 500/h", "20/s", is_required=True)
Tone = Literal["information", "warning", "error"]
What = Literal["queue", "type"]
PAUSE = {"queue": pause_queue, "type": pause_type}
RESUME = {"queue": resume_queue, "type": resume_type}


class AsksFirst(Protocol):
    """What acts need of the board: a window that asks, a line that tells, panes that ask anew."""

    async def asked(self, window: ActWindow) -> dict[str, str] | None:
        """Show it, and wait for its answer."""

    def tell(self, text: str, tone: Tone = "information") -> None:
        """Say it in a corner, for some seconds."""

    def ask_now(self) -> None:
        """Ask for every pane again."""


class BoardActs:
    """Those of one board; used on its loop."""

    def __init__(self, board: AsksFirst, source: BoardSource) -> None:
        self._board, self._source = board, source
        self._tried: set[str] = set()
        """Causes whose trial goes on."""

    async def turn(self, what: What, line: BoardLine) -> None:
        """Pause a queue or type, or let it go on where it is paused."""
        named = f"{what} {line.subject}"
        if line.is_paused:
            text = f"Let {named} go on: its jobs start again."
            found = await self._asked(text, (REASON,))
            if found is not None:
                site, by = self._source.site, self._source.by(found["why"])
                done = await self._do(RESUME[what], site, by, line.subject)
                self._say(done, f"{named} goes on")
            return
        text = f"Pause {named}: none of its jobs starts until it goes on. Those that run end."
        found = await self._asked(text, (REASON, FOR))
        if found is not None:
            by = self._source.by(found["why"])
            done = await self._do(PAUSE[what], self._source.site, by, line.subject, found["for_"])
            self._say(done, f"{named} is paused for {found['for_']}")

    async def redrive(self, group: LetterGroupRow) -> None:
        """Try a cause with its newest job; redrive the rest once that job is done."""
        if group.fingerprint in self._tried:
            self._board.tell("a job of this cause is being tried")
            return
        text = (
            f"Try one job, the newest of {group.count:,} dead of:\n{cause_line(group)}\n"
            "It runs with all its effects. If it is done, you are asked about the others."
        )
        found = await self._asked(text, (REASON,))
        if found is None:
            return
        site, by = self._source.site, self._source.by(found["why"])
        self._tried.add(group.fingerprint)
        try:
            trial = await self._do(try_cause, site, by, group.fingerprint, TRIAL_WAITS, None)
        finally:
            self._tried.discard(group.fingerprint)
        if trial is None:
            return
        self._say(trial, trial_words(trial), is_well=trial.outcome == "done")
        if trial.outcome == "done" and group.count > 1:
            await self._rest(group, f"{trial_words(trial)}.", found["why"])

    async def _rest(self, group: LetterGroupRow, said: str, why: str) -> None:
        others = counted(group.count - 1, "job")
        text = f"{said}\nRedrive the other {others} dead of:\n{cause_line(group)}"
        found = await self._asked(text, (ActField("why", REASON.label, why, is_required=True,
                                                  chars_max=REASON.chars_max), RATE))  # fmt: skip
        if found is None:
            return
        source = self._source
        meant = LettersMeant(LetterFilter(fingerprints=(group.fingerprint,)))
        by = source.by(found["why"])
        await self._do(redrive_letters, source.site, source.operations, by, meant, found["rate"])

    async def _asked(self, text: str, fields: Sequence[ActField]) -> dict[str, str] | None:
        return await self._board.asked(ActWindow(text, fields))

    async def _do(self, act: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401 - what acts give
        """What it returned, or True for nothing; None where it failed, which is told."""
        try:
            found = await self._source.ask(act, *given)
        except Exception as error:  # noqa: BLE001 - the board tells, and goes on
            self._board.tell(f"Not done: {told(error)}", "error")
            return None
        finally:
            self._board.ask_now()
        return True if found is None else found

    def _say(self, done: object, text: str, *, is_well: bool = True) -> None:
        if done is not None:
            self._board.tell(text, "information" if is_well else "warning")
