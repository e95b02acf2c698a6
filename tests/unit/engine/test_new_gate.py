"""A new gate is one file: it answers, and the engine lets deliveries wait and go on by that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.shop import Works

from jobstream import App, Limit
from jobstream.build_kind import build_kind
from jobstream.testing import memory
from jobstream_processors import assembly
from jobstream_processors.core.orders import PAUSE_QUEUE
from jobstream_processors.core.outcome import Raised
from jobstream_processors.core.verdict import MOMENT_MS, NotBefore
from jobstream_processors.engine.admission import all_gates
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.unit.shop import Shop

    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom

if build_kind() == "compiled":
    pytest.skip("inherits from a compiled class", allow_module_level=True)

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))


@dataclass(frozen=True)
class Mail:
    to: str


# What the files of such gates would hold.


class EverySecondWaits(Gate):
    """Keeps every second job for one second."""

    has_rules = True

    def __init__(self) -> None:
        self._seen = 0
        self._until: dict[Delivery, int] = {}

    def asks(self, _: WaitingRoom, delivery: Delivery, now_ms: int) -> NotBefore | None:
        if delivery not in self._until:
            self._seen += 1
            self._until[delivery] = now_ms + (0 if self._seen % 2 else 1_000)
        if now_ms < self._until[delivery]:
            return NotBefore("rate", self._until[delivery])
        return None

    def taken(self, _: WaitingRoom, delivery: Delivery) -> None:
        del self._until[delivery]


class OneAtATime(Gate):
    """Lets one job run at a time, whatever its partition."""

    has_rules = True

    def __init__(self) -> None:
        self._running: Delivery | None = None
        self._waiting: list[Delivery] = []

    def asks(self, _: WaitingRoom, delivery: Delivery, now_ms: int) -> NotBefore | None:
        if self._running is None:
            return None
        self._waiting.append(delivery)
        return NotBefore("one_at_a_time", now_ms + MOMENT_MS)

    def taken(self, _: WaitingRoom, delivery: Delivery) -> None:
        self._running = delivery

    def released(self) -> Sequence[Delivery]:
        found, self._waiting = self._waiting, []
        return found

    def learn(self, *_: object) -> None:
        self._running = None


class Released(Gate):
    """Keeps jobs until a test lets them go, in memory; it counts what it is asked."""

    has_rules = True

    def __init__(self) -> None:
        self.asked = 0
        self.is_open = False
        self._waiting: list[Delivery] = []

    def asks(self, _: WaitingRoom, delivery: Delivery, now_ms: int) -> NotBefore | None:
        self.asked += 1
        if self.is_open:
            return None
        self._waiting.append(delivery)
        return NotBefore("released", now_ms + 10 * MOMENT_MS, stays=True)

    def released(self) -> Sequence[Delivery]:
        if not self.is_open:
            return ()
        found, self._waiting = self._waiting, []
        return found


def made(shop: Shop, gate: Gate) -> Iterator[Works]:
    shop.specs["send"] = replace(shop.specs["send"], gated=True)
    loop = asyncio.new_event_loop()
    yield Works(shop, loop, gate)
    loop.close()


def test_a_gate_by_time_keeps_jobs_while_others_go_on_and_lets_them_go_in_time(shop: Shop) -> None:
    for works in made(shop, EverySecondWaits()):
        lane = works.lane()
        works.accept(lane, *(shop.send(job_id) for job_id in ("a", "b", "c", "d")))
        assert works.hand.started == ["a", "c"]

        works.pass_ms(999)
        assert works.kept(lane) == {"b": "rate", "d": "rate"}
        assert lane.aside == 2
        assert works.engine.kept() == {lane.source: ["rate"]}

        works.pass_ms(1)
        assert works.hand.started == ["a", "c", "b", "d"]
        assert works.kept(lane) == {}
        assert lane.aside == 0
        assert works.engine.kept() == {}


def test_what_a_gate_keeps_waits_on_while_its_lane_is_shut(shop: Shop) -> None:
    for works in made(shop, EverySecondWaits()):
        lane = works.lane()
        works.accept(lane, shop.send("a"), shop.send("b"))
        works.order((PAUSE_QUEUE, "mail"))
        works.pass_ms(1_000)
        assert works.kept(lane) == {"b": "paused"}
        assert works.engine.kept() == {lane.source: ["paused"]}

        works.order()
        assert works.hand.started == ["a", "b"]


def test_a_gate_that_an_end_opens_lets_the_next_job_go_at_once_of_another_partition_too(
    shop: Shop,
) -> None:
    for works in made(shop, OneAtATime()):
        one, other = works.lane(0), works.lane(1)
        works.accept(one, shop.send("a"))
        works.accept(other, shop.send("b"), shop.send("c"))
        assert works.hand.started == ["a"]

        works.end("a")
        assert works.hand.started == ["a", "b"]
        assert works.kept(other) == {"c": "one_at_a_time"}

        works.end("b", FAILED)
        assert works.hand.started == ["a", "b", "c"]


def test_what_waits_to_be_released_stays_in_memory_and_is_not_asked_about_meanwhile(
    shop: Shop,
) -> None:
    gate = Released()
    for works in made(shop, gate):
        lane = works.lane()
        works.accept(lane, *(shop.send(job_id) for job_id in ("a", "b", "c")))
        for _ in range(9):
            works.pass_ms(MOMENT_MS)
        assert (works.hand.started, gate.asked) == ([], 3)
        assert works.kept(lane) == dict.fromkeys("abc", "released")

        gate.is_open = True
        works.pass_ms(50)
        assert (works.hand.started, gate.asked) == (["a", "b", "c"], 6)


@pytest.mark.pure("replaces a function of a compiled module")
def test_a_test_of_jobs_in_memory_passes_the_time_that_a_gate_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        assembly, "all_gates", lambda *rules: (*all_gates(*rules), EverySecondWaits())
    )
    app = App("shop", size="small")
    ran: list[str] = []

    @app.job(queue=app.queue("mail"), limits=[Limit(concurrency=1_000)])
    async def send(args: Mail) -> None:
        ran.append(args.to)

    with memory(app) as jobs:
        for name in "abcd":
            send.enqueue(Mail(name))
        began_ms = jobs.clock.broker_ms()
        jobs.run_until_idle(timeout_s=20)

        assert sorted(ran) == ["a", "b", "c", "d"]
        assert 1_000 <= jobs.clock.broker_ms() - began_ms < 5_000
