"""The board shows its answers, keeps still when they do not come, and asks before it acts."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.cells import cell_len
from tests.harness.bad_minute import ANSWERS, JOB, JOB_ID, QUEUES, TOLD, queue_row
from tests.harness.played_board import (
    BOARD_ANSWERS,
    GROUPS,
    WHY_OF,
    PreparedSource,
    drawn,
    escape,
    picture,
    played,
    press,
    run,
    sees,
    write,
)

from jobstream.answers.errors import SourceAway

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]x[/]\u202egnp\u2066\r\n\t\x9b31m\udc80" + "広" * 200


def test_all_is_seen_at_once_with_its_age() -> None:
    async def test() -> None:
        async with played() as (board, _):
            shown = picture(board)
        wanted = (
            "2 late of 6 queues", "12,866 waiting", "208 dead", "6 workers (1 idle)", "2 delayers",
            "paused by ada", "too long", "MailServerAway", "bank", "concurrency 4",
            "looking at its", "Queues 6  log, 0.4s old", "Dead letters by cause 3  log, 0.4s old",
        )  # fmt: skip
        assert [words for words in wanted if words not in shown] == []
        lines = shown.splitlines()
        names = [line.split()[line.startswith(">")] for line in lines[3:9]]
        assert names == [row.name for row in QUEUES], "the late ones first"

    run(test())


def test_narrow_terminal_shows_queues_and_one_more_pane() -> None:
    async def test() -> None:
        async with played(size=(80, 24)) as (board, pilot):
            assert "Dead letters" in picture(board)
            assert "Breakers" not in picture(board)
            await press(pilot, "4")
            shown = await sees(pilot, "Breakers", "Queues")
            assert "Dead letters" not in shown
            assert max(map(cell_len, shown.splitlines())) <= 80
            await press(pilot, "tab", "shift+tab", "tab")
            assert board.panes["queues"].list.has_focus

    run(test())


def test_terminal_that_is_too_small_is_told_until_it_grows() -> None:
    async def test() -> None:
        async with played(size=(40, 8)) as (board, pilot):
            assert "needs 60 columns and 14 lines" in picture(board)
            await pilot.resize_terminal(130, 40)
            shown = await sees(pilot, "Queues 6", "Breakers")
            assert "needs 60" not in shown
            await pilot.resize_terminal(20, 3)
            await sees(pilot, "needs 60")
            await press(pilot, "q")
        assert board.return_code == 0

    run(test())


def test_hostile_texts_stay_in_their_cells() -> None:
    async def test() -> None:
        row = queue_row(HOSTILE, lag=1, types={HOSTILE: 1.0})
        group = replace(GROUPS.groups[0], type=HOSTILE, error=HOSTILE, pattern=HOSTILE)
        job = replace(JOB, id=HOSTILE, type=HOSTILE, traceback=HOSTILE, args={HOSTILE: HOSTILE})
        source = PreparedSource({
            **BOARD_ANSWERS,
            "queues": replace(ANSWERS["queues"], queues=(row, *QUEUES)),
            "letter_groups": replace(GROUPS, groups=(group,)),
            "workers": SourceAway(HOSTILE),
            "job": job,
            "why_of": replace(WHY_OF, sentence=HOSTILE),
        })  # fmt: skip
        async with played(source) as (board, pilot):
            await sees(
                pilot,
                r"\x1b[2J\x1b]0;owned\x07[r",
                "mail",
                r"asking  \x1b[2J\x1b]0;owned\x07[",
            )
            assert_harmless(picture(board), 120)
            await press(pilot, "3", "enter")
            await sees(pilot, "Timeline")
            assert_harmless(picture(board), 120)
            await escape(pilot)
            await press(pilot, "r")
            await sees(pilot, "Try one job")
            assert_harmless(picture(board), 120)

    run(test())


def assert_harmless(shown: str, width: int) -> None:
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []
    assert max(map(cell_len, shown.splitlines())) <= width


def test_source_that_is_away_leaves_what_was_known() -> None:
    async def test() -> None:
        source = PreparedSource()
        async with played(source) as (board, pilot):
            source.answers = {**BOARD_ANSWERS, "queues": SourceAway("no broker answers")}
            board.ask_now()
            shown = await sees(pilot, "no broker answers")
            assert "Queues 6  log, 0.4s old" in shown
            assert "paused by ada" in shown
            source.answers = BOARD_ANSWERS
            board.ask_now()
            while "no broker" in picture(board):
                await pilot.pause(0.02)

    run(test())


def test_error_that_nobody_expected_is_told_with_its_class() -> None:
    async def test() -> None:
        async with played(PreparedSource({**BOARD_ANSWERS, "queues": KeyError("x")})) as (_, pilot):
            await sees(pilot, "KeyError")

    run(test())


def test_answer_that_can_not_be_drawn_is_told_and_asked_for_again() -> None:
    async def test() -> None:
        source = PreparedSource()
        async with played(source) as (board, pilot):
            source.answers = {**BOARD_ANSWERS, "queues": SimpleNamespace(as_of=TOLD)}
            board.ask_now()
            await sees(pilot, "AttributeError", "mail")
            shorter = replace(ANSWERS["queues"], queues=QUEUES[:2])
            source.answers = {**BOARD_ANSWERS, "queues": shorter}
            board.ask_now()
            assert "AttributeError" not in await sees(pilot, "Queues 2")

    run(test())


def test_slow_answers_do_not_pile_up_and_block_no_key() -> None:
    async def test() -> None:
        release = threading.Event()

        def slow(_: object) -> Any:  # noqa: ANN401 - any answer
            release.wait(600)
            return ANSWERS["queues"]

        source = PreparedSource({**BOARD_ANSWERS, "queues": slow})
        async with played(source, every_s=0.01) as (board, pilot):
            while source.asked.count("workers") < 20:
                await press(pilot, "2", "down")
                board.ask_now()
            assert source.asked.count("queues") == 1
            assert "asking" in picture(board)
            release.set()
            await sees(pilot, "Queues 6")

    run(test())


def test_hidden_pane_asks_nothing() -> None:
    async def test() -> None:
        source = PreparedSource()
        async with played(source, every_s=0.01) as (_, pilot):
            while source.asked.count("queues") < 5:
                await pilot.pause()
            assert "types" not in source.asked
            await press(pilot, "t")
            shown = await sees(pilot, "Job types 6", "unknown")
            assert "Queues" not in shown

    run(test())


def test_a_thousand_queues_are_reached_by_keys_and_filter() -> None:
    async def test() -> None:
        rows = tuple(queue_row(f"queue-{number:04}", lag=number) for number in range(1_000))
        answers = {**BOARD_ANSWERS, "queues": replace(ANSWERS["queues"], queues=rows)}
        async with played(PreparedSource(answers)) as (board, pilot):
            await press(pilot, "end")
            assert board.panes["queues"].list.at_cursor == board.panes["queues"].list.shown[999]
            assert "queue-0999" in picture(board)
            await press(pilot, "pageup", "pageup", "k")
            subject = board.panes["queues"].list.at_cursor
            board.panes["queues"].action_ask_now()
            await pilot.pause(0.05)
            assert board.panes["queues"].list.at_cursor == subject, "the cursor stays at its queue"
            await press(pilot, "slash")
            await write(pilot, "UE-0042")
            await sees(pilot, "Queues 1 of 1000", "queue-0042")
            await press(pilot, "enter", "escape")
            await sees(pilot, "Queues 1000")

    run(test())


def test_job_shows_its_life_and_why() -> None:
    async def test() -> None:
        source = PreparedSource()
        async with played(source, size=(120, 60)) as (_, pilot):
            await press(pilot, "3", "enter")
            await sees(pilot, "Timeline", "all its attempts failed", "shop.mail.dlq:1:918",
                       "grace@example.com", "waits breaker", "Traceback")  # fmt: skip
            await escape(pilot)
            await press(pilot, "i")
            await write(pilot, JOB_ID[:8])
            await press(pilot, "enter")
            await sees(pilot, "Timeline")
            assert source.asked.count("job") == 2

    run(test())


def test_keys_are_about_the_pane_that_was_just_chosen() -> None:
    async def test() -> None:
        async with played() as (board, pilot):
            board.action_to(2)
            board.action_redrive()
            await sees(pilot, "Try one job")
            await escape(pilot)
            await press(pilot, "1", "r")
            await sees(pilot, "r is for a cause")
            await press(pilot, "4", "p", "enter")
            await sees(pilot, "p is for a queue", "no job belongs")

    run(test())


def test_queue_shows_its_rungs_and_help_its_keys() -> None:
    async def test() -> None:
        async with played() as (_, pilot):
            await press(pilot, "enter")
            await sees(pilot, "Queue mail", "Rungs", "5m", "offset 88,112 of 96,840")
            await escape(pilot)
            await press(pilot, "question_mark")
            await sees(pilot, "Keys of the board", "Ctrl-R")
            await press(pilot, "p", "escape")
            shown = await sees(pilot, "Queues 6")
            assert "Reason" not in shown, "keys under a window do nothing"

    run(test())


def test_the_page_shows_the_board_as_it_is() -> None:
    page = (ROOT / "docs" / "how-to" / "top.md").read_text()

    assert asyncio.run(drawn()) in page, "python -m tests.harness.played_board prints it"
