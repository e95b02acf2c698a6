"""`jobstream top` in a real terminal: acts on a real Kafka, ends, and where it does not draw."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest
from tests.harness.drawn_terminal import ALTERNATE, BACK, DrawnTerminal
from tests.harness.waiting import wait_until
from tests.integration.by_command import Shop, Worker

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 120.0
NO_BROKER = "127.0.0.1:1"


def top(shop: Shop, *options: str, **environ: str) -> DrawnTerminal:
    words = ["-X", "faulthandler", "-m", "jobstream", "top", "shop:app", "--interval", "0.5"]
    return DrawnTerminal(
        [sys.executable, *words, *options], shop.folder, {**shop.environ, **environ}
    )


@pytest.fixture
def away(tmp_path: Path) -> Shop:
    """A shop whose broker is away."""
    return Shop("shop-away", tmp_path, NO_BROKER)


@pytest.mark.kafka
def test_a_queue_is_paused_and_a_cause_redriven_by_keys(shop: Shop, workers: list[Worker]) -> None:
    workers.append(Worker(shop))
    for number in range(3):
        shop.enqueue(f"bad-{number}")
    shop.letters(3)

    with top(shop) as board:
        board.sees("LookupError")
        board.sees("idle")
        board.press("p")
        board.sees("Pause queue mail")
        board.press("too loud\r")
        board.sees("is paused for 1h")
        (entry,) = shop.json("control", "list")
        assert (entry["kind"], entry["subject"], entry["why"]) == (
            "pause_queue",
            "mail",
            "too loud",
        )
        assert "@" in entry["who"]
        at = board.sees("paused by")
        board.press("p")
        board.sees("Let queue mail go on")
        board.press("quiet again\r")
        board.sees("mail goes on", at)
        assert shop.json("control", "list") == []

        (shop.folder / "repaired").touch()
        board.press("3r")
        board.sees("Try one job, the newest of 3")
        board.press("mended\r")
        board.sees("Redrive the other 2")
        board.press("\r")
        board.sees("redrive done: 2 of 2")
        assert shop.lines("dlq", "list") == []
        board.press("q")
        assert board.ended() == 0
        said = board.drawn.rpartition(BACK)[2].decode()
        assert all(word in said for word in ("pause_queue", "try", "redrive", "mended")), said


def test_a_broker_that_is_away_is_told_and_keys_work(away: Shop) -> None:
    with top(away) as board:
        board.sees("asking")
        board.press("?")
        board.sees("Keys of the board")
        board.press("\x1b")
        board.sees(NO_BROKER)
        board.press("q")
        assert board.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(away: Shop, number: signal.Signals) -> None:
    with top(away) as board:
        board.sees("asking")
        assert ALTERNATE in board.drawn
        assert board.now != board.before
        board.process.send_signal(number)
        assert board.ended() == 0
        wait_until(lambda: BACK in board.drawn, "the first screen is back", limit_s=LIMIT_S)
        assert board.now == board.before


def test_no_colours_are_sent_where_none_are_wanted(away: Shop) -> None:
    with top(away, NO_COLOR="1") as board:
        board.sees(NO_BROKER)
        board.press("q")
        board.ended()
        assert b"\x1b[31m" not in board.drawn


def test_size_is_followed_whatever_it_was_when_it_was_exported(away: Shop) -> None:
    with top(away, COLUMNS="80", LINES="25") as board:
        board.sees("asking")
        board.resize(40, 10)
        at = board.sees("needs 60 columns")
        board.resize(130, 40)
        board.sees("Breakers", at)
        board.press("q")
        assert board.ended() == 0


def test_what_is_no_terminal_is_refused(away: Shop) -> None:
    said = away.run("top", "shop:app", code=1)

    assert "standard input is no terminal" in said
    assert "jobstream lag --json" in said
    with top(away, TERM="dumb") as board:
        board.sees("TERM is dumb")
        assert board.ended() == 1
