"""The board asks before it acts, says how it ended, and does not leave work behind unasked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.played_board import (
    BOARD_ANSWERS,
    PreparedSource,
    escape,
    played,
    press,
    run,
    sees,
    write,
)

from jobstream.acting.operations import OperationNow
from jobstream.answers.errors import SourceAway
from jobstream.operate.trial import Trial

if TYPE_CHECKING:
    from jobstream.acting.act_record import ActedBy


def test_pause_asks_for_a_reason_and_says_what_was_done() -> None:
    async def test() -> None:
        done: list[tuple[Any, ...]] = []
        act = {"pause_queue": lambda _, *given: done.append(given)}
        async with played(PreparedSource({**BOARD_ANSWERS, **act})) as (_, pilot):
            await press(pilot, "p")
            await sees(pilot, "Pause queue mail", "Reason")
            await press(pilot, "enter")
            await sees(pilot, "write one")
            assert done == []
            await write(pilot, "too loud")
            await press(pilot, "enter")
            await sees(pilot, "queue mail is paused for 1h")
            ((by, queue, for_),) = done
            assert (queue, for_, by.why) == ("mail", "1h", "too loud")
            assert by.who.startswith(by.name + "@")

    run(test())


def test_escape_acts_not_and_a_paused_queue_goes_on() -> None:
    async def test() -> None:
        done: list[Any] = []
        acts = {"resume_queue": lambda _, by, queue: done.append((queue, by.why))}
        async with played(PreparedSource({**BOARD_ANSWERS, **acts})) as (_, pilot):
            await press(pilot, "down", "down", "p")
            await sees(pilot, "Let queue reports go on")
            await escape(pilot)
            assert done == []
            await press(pilot, "p")
            await write(pilot, "done")
            await press(pilot, "enter")
            await sees(pilot, "queue reports goes on")
            assert done == [("reports", "done")]

    run(test())


def test_type_is_paused_from_its_pane() -> None:
    async def test() -> None:
        done: list[Any] = []
        acts = {"pause_type": lambda _, by, name, for_: done.append((name, by.why, for_))}
        async with played(PreparedSource({**BOARD_ANSWERS, **acts})) as (_, pilot):
            await press(pilot, "t")
            await sees(pilot, "Job types 6")
            await press(pilot, "down", "p")
            await write(pilot, "x")
            await press(pilot, "enter")
            await sees(pilot, "is paused for 1h")
            assert done == [("send_receipt", "x", "1h")]

    run(test())


def test_act_that_fails_is_told() -> None:
    async def test() -> None:
        acts = {"pause_queue": SourceAway("no broker took the entry")}
        async with played(PreparedSource({**BOARD_ANSWERS, **acts})) as (_, pilot):
            await press(pilot, "p")
            await write(pilot, "x")
            await press(pilot, "enter")
            await sees(pilot, "Not done", "no broker took the entry")

    run(test())


def test_act_that_ends_by_an_error_of_the_board_is_told() -> None:
    async def test() -> None:
        answers = {**BOARD_ANSWERS, "try_cause": lambda *_: object()}
        async with played(PreparedSource(answers)) as (_, pilot):
            await press(pilot, "3", "r")
            await write(pilot, "x")
            await press(pilot, "enter")
            await sees(pilot, "AttributeError")

    run(test())


def trial(outcome: Any) -> Trial:  # noqa: ANN401 - one of its words
    return Trial("5f1d3c0b9a7e", "job-1", "mail", 1, outcome, "boom", same_cause=True)


def test_cause_is_redriven_after_a_trial_that_went_well() -> None:
    async def test() -> None:
        done: list[Any] = []

        def tried(_: object, by: ActedBy, *given: object) -> Trial:
            done.append((by.why, given))
            return trial("done")

        acts = {
            "try_cause": tried,
            "redrive_letters": lambda _, __, by, meant, rate: done.append((by.why, meant, rate)),
        }
        async with played(PreparedSource({**BOARD_ANSWERS, **acts})) as (_, pilot):
            await press(pilot, "3", "r")
            await sees(pilot, "newest of 181")
            await write(pilot, "mx3 is back")
            await press(pilot, "enter")
            await sees(pilot, "job job-1 (redrive 1) is done", "Redrive the other 180")
            await press(pilot, "enter")
            while len(done) < 2:
                await pilot.pause()
        assert done[0] == ("mx3 is back", ("5f1d3c0b9a7e", "60s", None))
        why, meant, rate = done[1]
        assert (why, rate, meant.filter.fingerprints) == ("mx3 is back", "20/s", ("5f1d3c0b9a7e",))

    run(test())


@pytest.mark.parametrize("outcome", ["dead", "retrying", "waiting", "failed", "ended"])
def test_trial_that_did_not_go_well_ends_there(outcome: str) -> None:
    async def test() -> None:
        acts = {"try_cause": trial(outcome)}
        async with played(PreparedSource({**BOARD_ANSWERS, **acts})) as (_, pilot):
            await press(pilot, "3", "r")
            await write(pilot, "x")
            await press(pilot, "enter")
            shown = await sees(pilot, "job job-1 (redrive 1)")
            assert "Redrive the other" not in shown

    run(test())


def test_leaving_asks_while_an_operation_goes_on() -> None:
    async def test() -> None:
        source = PreparedSource()
        going, begun = threading.Event(), threading.Event()

        def steps() -> Any:  # noqa: ANN401 - steps of an operation
            begun.set()
            going.wait(600)
            yield "redriven", ""

        now = source.operations.begin("redrive", 7, source.by("x"), steps)
        assert isinstance(now, OperationNow)
        assert begun.wait(60)
        async with played(source) as (board, pilot):
            await sees(pilot, "redrive running: 0 of 7")
            await press(pilot, "q")
            await sees(pilot, "stop if you leave")
            await press(pilot, "escape")
            assert board.is_running
            going.set()
            await sees(pilot, "redrive done: 1 of 7")
            await press(pilot, "q")
        assert board.return_code == 0

    run(test())
