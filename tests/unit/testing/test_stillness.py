"""A machine that stood still is noticed, and excuses what it cut off, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness import stillness as module
from tests.harness.stillness import AFTER_MS, LOOK_S, STEP_MS, STILL_S, Stillness
from tests.harness.waiting import wait_until

from jobstream.testing.audit import audit
from jobstream.testing.ledger import Entry, now_ms

if TYPE_CHECKING:
    import pytest


def doubled(stillness: Stillness, *at_ms: int) -> int:
    starts = [Entry("start", "a", pid=pid, at_ms=at) for pid, at in enumerate(at_ms)]
    return audit(starts, [], ["a"], stillness.seen).doubled


def test_a_busy_machine_is_not_still() -> None:
    stillness = Stillness()

    stillness.note(LOOK_S)
    stillness.note(STILL_S)

    assert stillness.seen == []


def test_what_was_in_flight_may_start_again_once() -> None:
    stillness, now = Stillness(), now_ms()
    stillness.note(STILL_S + 0.1)
    cut = stillness.seen[-1]
    assert now + AFTER_MS <= cut.at_ms <= now_ms() + AFTER_MS + STEP_MS

    assert doubled(stillness, cut.at_ms - 10, cut.at_ms + 10) == 0
    assert doubled(stillness, cut.at_ms - 10, cut.at_ms + 10, cut.at_ms + 20) == 1
    assert doubled(stillness, cut.at_ms + 1, cut.at_ms + 10) == 1


def test_what_began_around_it_may_start_again_before_all_have_learned_of_it() -> None:
    stillness = Stillness()
    stillness.note(STILL_S + 0.1)
    now = stillness.seen[0].at_ms + round((STILL_S + 0.1) * 1_000)

    assert doubled(stillness, now - 1_000, now + 1_000) == 0
    assert doubled(stillness, now + 500, now + 1_000) == 0
    assert doubled(stillness, now - 2_500, now - 2_000) == 1


def test_it_looks_while_it_is_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STILL_S", -1.0)

    with Stillness() as stillness:
        wait_until(lambda: stillness.seen, "a look", limit_s=60)
