"""Whether the group is heard, by statistics as the client library writes them."""

from __future__ import annotations

import json

import pytest

from jobstream.kafka.consume.hearing import FAILOVER_S, OVERDUE_S, Hearing

LIMIT_MS = 5_000


class Ear:
    """A hearing, its clock, and statistics that name a coordinator and two more brokers."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.coordinator_s = self.other_s = 100.0
        self.state = "UP"
        self.hearing = Hearing(lambda: self.now_s)
        self.seen: list[str] = []
        self.options = self.hearing.options({"stats_cb": self.seen.append}, LIMIT_MS)

    def statistics(self) -> str:
        def broker(source: str, state: str, heard_s: float) -> dict[str, object]:
            idle = round((self.now_s - heard_s) * 1e6)
            return {"source": source, "state": state, "rx": 7, "rxidle": idle, "zbuf_grow": 0}

        brokers = {
            "one:9092/1": broker("learned", "UP", self.other_s),
            "two:9092/2": broker("learned", "INIT", self.now_s + 1e-6),
            "GroupCoordinator": broker("logical", self.state, self.coordinator_s),
        }
        return json.dumps(
            {
                "name": "c",
                "ts": round(self.now_s * 1e6),
                "brokers": brokers,
                "topics": {"mail": {"rxidle": 0, "source": "logical", "state": "UP"}},
            }
        )

    def pass_s(
        self, seconds: int, *, coordinator: bool = False, other: bool = False, taken: bool = True
    ) -> bool:
        """Time passes in which these answer; whether it is silent then."""
        for _ in range(seconds):
            self.now_s += 1
            self.coordinator_s = self.now_s if coordinator else self.coordinator_s
            self.other_s = self.now_s if other else self.other_s
            if taken:
                self.options["stats_cb"](self.statistics())
            silent = self.hearing.is_silent(LIMIT_MS)
        return silent


@pytest.fixture
def ear() -> Ear:
    made = Ear()
    assert not made.pass_s(1, coordinator=True, other=True)
    return made


def test_a_member_whose_heartbeats_are_answered_hears(ear: Ear) -> None:
    assert not ear.pass_s(60, coordinator=True)
    assert len(ear.seen) == 61


def test_all_brokers_silent_for_longer_than_the_limit_is_silence(ear: Ear) -> None:
    assert not ear.pass_s(5)
    assert ear.pass_s(1)


def test_a_coordinator_that_keeps_its_connection_and_says_nothing_is_silence(ear: Ear) -> None:
    assert not ear.pass_s(5, other=True)
    assert ear.pass_s(1, other=True)


def test_a_coordinator_that_died_is_no_silence_while_others_answer(ear: Ear) -> None:
    ear.state = "CONNECT"

    assert not ear.pass_s(int(FAILOVER_S), other=True)
    assert ear.pass_s(1, other=True)


def test_only_the_coordinator_ends_a_silence(ear: Ear) -> None:
    assert ear.pass_s(6)
    ear.state = "CONNECT"
    assert ear.pass_s(3, other=True)

    assert not ear.pass_s(1, coordinator=True)


def test_what_nobody_took_for_a_moment_is_no_silence(ear: Ear) -> None:
    ear.pass_s(4)
    ear.now_s += OVERDUE_S

    assert not ear.hearing.is_silent(LIMIT_MS)
    ear.now_s += 1.1
    assert ear.hearing.is_silent(LIMIT_MS)


def test_an_answer_to_a_question_counts(ear: Ear) -> None:
    assert ear.pass_s(6)
    ear.now_s += 0.5

    ear.hearing.heard()

    assert not ear.hearing.is_silent(LIMIT_MS)
