"""A client that lost its brokers for good is told from brokers that are away."""

from __future__ import annotations

import json

import pytest

from jobstream.kafka.consume.deaf import ASK_EVERY_S, GIVE_UP_S, UNHEARD_S, Deafness
from jobstream.kafka.consume.hearing import Hearing
from jobstream_processors.errors import ReplaceProcess

LIMIT_MS = 5_000


class Member:
    """A member whose client tells statistics each second: of its coordinator, or of no broker."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.others_hear = True
        self.asked = 0
        self.hearing = Hearing(lambda: self.now_s)
        self._options = self.hearing.options({}, LIMIT_MS)
        self._deafness = Deafness(self.hearing, self._ask, lambda: self.now_s)

    def pass_s(self, seconds: float, *, heard: bool = False, taken: bool = True) -> None:
        for _ in range(int(seconds)):
            self.now_s += 1
            if taken:
                self._options["stats_cb"](self._statistics(heard=heard))
            self._deafness.check()

    def _ask(self) -> bool:
        self.asked += 1
        return self.others_hear

    def _statistics(self, *, heard: bool) -> str:
        coordinator = {"source": "logical", "state": "UP", "rx": 7, "rxidle": 0}
        brokers = {"GroupCoordinator": coordinator} if heard else {}
        return json.dumps({"ts": round(self.now_s * 1e6), "brokers": brokers, "topics": {}})


@pytest.fixture
def member() -> Member:
    made = Member()
    made.pass_s(5, heard=True)
    return made


def test_a_client_that_hears_nothing_while_another_is_answered_is_given_up(member: Member) -> None:
    member.pass_s(UNHEARD_S + GIVE_UP_S - ASK_EVERY_S)

    with pytest.raises(ReplaceProcess, match="heard nothing of its group for 60 s"):
        member.pass_s(2 * ASK_EVERY_S)


def test_one_that_is_heard_asks_nobody(member: Member) -> None:
    member.pass_s(600, heard=True)

    assert member.asked == 0


def test_brokers_that_answer_nobody_are_waited_for(member: Member) -> None:
    member.others_hear = False

    member.pass_s(3_600)

    assert member.asked <= 3_600 / ASK_EVERY_S


def test_brokers_that_have_just_come_back_are_given_time(member: Member) -> None:
    # Given brokers that were away for long, and answer others again
    member.others_hear = False
    member.pass_s(600)
    member.others_hear = True
    member.pass_s(GIVE_UP_S - 1)

    # When the client hears them a little later, then it is kept
    member.pass_s(1, heard=True)
    member.pass_s(UNHEARD_S + GIVE_UP_S - ASK_EVERY_S)


def test_a_thread_that_did_not_poll_for_long_says_nothing_of_its_client(member: Member) -> None:
    member.pass_s(600, taken=False)

    assert member.asked == 0
