"""What a job that asks for a unique key gets, case by case."""

from __future__ import annotations

import pytest

from jobstream_processors.core.key_facts import HELD, RELEASED, WAITS, KeyFacts, KeyRow
from jobstream_processors.core.unique_answer import (
    FREE,
    TAKES,
    Answer,
    Asks,
    Duplicate,
    Later,
    Refused,
    Waits,
    answer,
)
from jobstream_processors.core.unique_mode import Mode, is_within, read, told, told_within

FIRST, LATEST, START = Mode(), Mode(latest=True), Mode(until_start=True)
BURST = Mode(latest=True, wait_ms=5, wait_max_ms=12)
NOTHING = KeyFacts()
ENDED = KeyRow(RELEASED, "k", "a", 2, end=5).fact()
"""Job a, which asked at offset 2, ended when the log went up to 5."""
LEFT = KeyRow(HELD, "k", "a", 2, 0, 1, expires_ms=100).fact()
NEWEST = KeyRow(WAITS, "k", "w", 4, first_ms=1).fact()


def asks(mode: Mode, place: int, *, appended_ms: int = 0, **more: bool) -> Asks:
    return Asks("b", mode, place, appended_ms, **more)


@pytest.mark.parametrize(
    ("facts", "question", "holder", "expected"),
    [
        (NOTHING, asks(FIRST, 3), None, TAKES),
        (NOTHING, asks(FIRST, 3), "b", TAKES),
        (NOTHING, asks(FIRST, 3), "a", Duplicate("a")),
        # Whoever has the key since came later than the one before whose end it stood in the log.
        (ENDED, asks(FIRST, 4), "c", Duplicate("a")),
        (ENDED, asks(FIRST, 6), "c", Duplicate("c")),
        # It stood in the log when the holder ended, or came after that.
        (ENDED, asks(FIRST, 4), None, Duplicate("a")),
        (ENDED, asks(FIRST, 5), None, TAKES),
        # Its own hold has expired since it left for the ladder.
        (LEFT, asks(FIRST, 1, again=True), "a", FREE),
        (ENDED, asks(FIRST, 1, again=True), None, TAKES),
        (NOTHING, asks(FIRST, 3, redriven=True), "a", Refused("a")),
        (ENDED, asks(FIRST, 4, redriven=True), None, Refused("a")),
        (NOTHING, asks(START, 3, began=True), "a", FREE),
        (NOTHING, asks(LATEST, 3), "a", Waits("a")),
        (ENDED, asks(LATEST, 4), None, TAKES),
        (NEWEST, asks(LATEST, 3), None, Duplicate("w")),
        (NEWEST, asks(LATEST, 5), None, TAKES),
        (NEWEST, asks(LATEST, 9, redriven=True), None, Refused("w")),
        (NOTHING, asks(BURST, 3, appended_ms=8), None, Later(13, 8)),
        (NOTHING, asks(BURST, 3, appended_ms=5), None, TAKES),
        # The burst began at 1, so it is over at 13 at the latest.
        (NEWEST, asks(BURST, 5, appended_ms=9), None, Later(13, 1)),
        (NEWEST, asks(BURST, 3, appended_ms=9), None, Duplicate("w")),
    ],
)
def test_what_it_gets(
    facts: KeyFacts, question: Asks, holder: str | None, expected: Answer
) -> None:
    assert answer(facts, question, holder, now_ms=10) == expected


@pytest.mark.parametrize("mode", [FIRST, LATEST, START, BURST])
@pytest.mark.parametrize("key", ['ship["t",1]', "", "a;b", "!x;y"])
def test_the_text_of_a_key_says_how_it_is_wanted(mode: Mode, key: str) -> None:
    assert read(told(mode, key), Mode(expires_ms=1)) == (mode, key)


@pytest.mark.parametrize(
    "text",
    ["plain", "!keep_first,done,x;k", "!keep_first,later,1;k", "!next_years;k", "!debounce,1;k"],
)
def test_a_text_that_says_nothing_known_is_all_key(text: str) -> None:
    assert read(text, LATEST) == (LATEST, text)


def test_a_window_s_text_asks_no_gate() -> None:
    assert read(told_within("k"), FIRST) == (None, "k")
    assert is_within(told_within("k"))
    assert not is_within(told(FIRST, "k"))
