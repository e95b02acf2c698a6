"""The engine takes a delivery only from stage to stage that the module `delivery` lists."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.shop import Shop, Works

from jobstream_processors import delivery as told
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.orders import CANCEL, PAUSE_QUEUE, PAUSE_TYPE
from jobstream_processors.core.outcome import (
    DONE,
    Again,
    Crashed,
    DeclaredDead,
    Interrupted,
    Raised,
    TimedOut,
    Unstarted,
)
from jobstream_processors.delivery import Delivery, Stage
from jobstream_processors.engine import intake

if TYPE_CHECKING:
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome

pytestmark = pytest.mark.pure("watches deliveries by a class that inherits from theirs")
ROW = re.compile(r"^\| ([A-Z, ]+) \| ([A-Z]+) \|", re.MULTILINE)
ALLOWED = {
    (Stage[start.strip()], Stage[end])
    for starts, end in ROW.findall(told.__doc__ or "")
    for start in starts.split(",")
}
IDS = "abc"
FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))
OUTCOMES: list[Outcome] = [
    DONE,
    FAILED,
    Crashed("killed"),
    DeclaredDead("dead_by_handler", "gone"),
    Again(2_000, uses_attempt=False, reason="later"),
    Interrupted(),
    TimedOut(30_000),
    Unstarted("child_not_started", "no"),
]
ORDERS = [(CANCEL, "a"), (CANCEL, "b"), (PAUSE_QUEUE, "mail"), (PAUSE_TYPE, "held")]
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.sampled_from(IDS),
            st.sampled_from([("send", None), ("send", "k"), ("held", "k"), ("", None)]),
        ),
        st.tuples(st.just("again"), st.sampled_from(IDS), st.integers(1, 2)),
        st.tuples(st.just("end"), st.sampled_from(IDS), st.sampled_from(OUTCOMES)),
        st.tuples(st.just("late"), st.sampled_from(IDS), st.sampled_from([TimedOut(5)])),
        st.tuples(st.just("returned"), st.sampled_from(IDS), st.none()),
        st.tuples(st.just("settle"), st.just(""), st.none()),
        st.tuples(st.just("pass"), st.just(""), st.sampled_from([50, 5_000, 60_000])),
        st.tuples(st.just("order"), st.just(""), st.lists(st.sampled_from(ORDERS), max_size=2)),
        st.tuples(st.just("slots"), st.just(""), st.sampled_from([0, 1, 9])),
        st.tuples(st.just("drain"), st.just(""), st.none()),
        st.tuples(st.just("move"), st.just(""), st.none()),
    ),
    max_size=50,
)


class Watched(Delivery):
    """Fails where its stage changes in a way that the table does not have."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "stage" and value is not self.stage:
            assert (self.stage, value) in ALLOWED, f"{self.stage!r} to {value!r}"
        super().__setattr__(name, value)


class Course:
    """One partition, and what becomes of its jobs."""

    def __init__(self, works: Works) -> None:
        self.works, self.shop = works, works.shop
        works.floods.limit = 2
        self.lane: Lane = works.lane()
        self.late: dict[str, Delivery] = {}

    def step(self, what: str, job_id: str, given: Any) -> None:  # noqa: ANN401 - of the step
        works, shop = self.works, self.shop
        match what:
            case "send":
                job, key = given
                event = shop.event(job_id, job, order_key=key) if job else b"garbage"
                works.accept(self.lane, shop.put(event))
            case "again":
                works.accept(self.lane, shop.put(shop.event(job_id), Carried(redrive=given)))
            case "end" if self._runs(job_id):
                works.end(job_id, given)
            case "late" if self._runs(job_id) and job_id in works.hand.hosted:
                self.late[job_id] = works.end(job_id, given, running=True)
            case "returned" if job_id in self.late:
                delivery = self.late.pop(job_id)
                if works.hand.hosted.get(job_id) is delivery:
                    del works.hand.hosted[job_id]
                works.engine.returned(delivery)
            case "settle":
                works.settle()
            case "pass":
                works.pass_ms(given)
            case "order":
                works.order(*given)
            case "slots":
                works.hand.slots = given
            case "drain" | "move":
                self._leave(ends=what == "move")

    def _leave(self, *, ends: bool) -> None:
        """The partition drains; or it is assigned anew, and read from where it was finished."""
        works, shop = self.works, self.shop
        works.engine.drain(self.lane)
        if not ends:
            return
        works.engine.end(self.lane)
        start = self.lane.watermark.position
        self.lane = shop.lane(start=start)
        works.engine.begin(self.lane)
        works.accept(self.lane, *shop.broker.records(shop.plan.topic)[start:])

    def _runs(self, job_id: str) -> bool:
        hosted = {**self.works.child.hosted, **self.works.hand.hosted}
        return job_id in hosted and job_id not in self.late


@settings(max_examples=300)
@given(STEPS)
def test_a_delivery_goes_only_from_stage_to_stage_that_the_table_has(
    steps: list[tuple[str, str, Any]],
) -> None:
    loop = asyncio.new_event_loop()
    try:
        with patch.object(intake, "Delivery", Watched):
            course = Course(Works(Shop(), loop))
            for step in steps:
                course.step(*step)
            for delivery, reason in course.works.engine.waiting:
                assert delivery.waits == reason
    finally:
        loop.close()


def test_the_table_names_every_stage() -> None:
    assert {stage for pair in ALLOWED for stage in pair} == set(Stage)
