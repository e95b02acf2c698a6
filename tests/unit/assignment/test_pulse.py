"""A process that slept past its session publishes nothing more, whichever thread finds out."""

from __future__ import annotations

import queue
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from jobstream.testing import VirtualClock
from jobstream_processors.assignment.pulse import GuardedSink, Pulse
from jobstream_processors.errors import WorkerStopped
from jobstream_processors.ports import Outgoing
from jobstream_processors.watch.standing import RunningJob, Standing

if TYPE_CHECKING:
    from tests.unit.shop import Shop

SESSION_MS = 5_000


def test_beats_within_the_session_keep_it_alive(shop: Shop) -> None:
    pulse = Pulse(shop.clock, SESSION_MS)

    for _ in range(10):
        shop.clock.advance(SESSION_MS)
        pulse.beat()

    pulse.check()


def test_a_session_that_turns_out_shorter_counts(shop: Shop) -> None:
    pulse = Pulse(shop.clock, SESSION_MS)
    pulse.narrow(2 * SESSION_MS)
    pulse.narrow(1_000)
    shop.clock.advance(1_001)

    with pytest.raises(WorkerStopped, match="its session of 1000 ms"):
        pulse.check()


def test_a_gap_is_found_by_whoever_asks_first_and_never_forgotten(shop: Shop) -> None:
    pulse = Pulse(shop.clock, SESSION_MS)
    shop.clock.advance(SESSION_MS + 1)

    with pytest.raises(WorkerStopped, match="stood still for 5001 ms, longer than its session"):
        pulse.check()
    # A beat afterwards must not bring it back: others own the partitions.
    for ask in (pulse.beat, pulse.check):
        with pytest.raises(WorkerStopped):
            ask()


def test_a_gap_names_the_handlers_that_ran_all_the_while(shop: Shop) -> None:
    ran = {**{f"job_{number}": 4.7 for number in range(7)}, "brief": 1.0}
    runs = [
        RunningJob("mail", name, "j-1", 1, seconds, stuck=False) for name, seconds in ran.items()
    ]
    runs.append(RunningJob("mail", "job_0", "j-2", 1, 9.0, stuck=False))
    pulse = Pulse(shop.clock, SESSION_MS)
    pulse.watch(Standing((), tuple(runs), 9, 0.0, leaving=False).under_way)
    shop.clock.advance(SESSION_MS + 1)

    with pytest.raises(WorkerStopped, match=r"all the while: job_0, .*, job_4 and 2 more\. If"):
        pulse.check()
    with pytest.raises(WorkerStopped, match="job_0"):
        pulse.beat()


def test_a_gap_without_a_handler_is_no_handlers_fault(shop: Shop) -> None:
    pulse = Pulse(shop.clock, SESSION_MS)
    shop.clock.advance(SESSION_MS + 1)

    with pytest.raises(WorkerStopped, match="No handler of now ran all the while"):
        pulse.check()


def test_a_freeze_in_the_middle_of_a_beat_is_a_gap() -> None:
    times = iter([0, 100, 100 + SESSION_MS + 1])
    clock = SimpleNamespace(monotonic_ms=lambda: next(times))
    pulse = Pulse(clock, SESSION_MS)  # it asks for nothing else

    pulse.beat()

    with pytest.raises(WorkerStopped):
        pulse.check()


def test_the_first_reason_to_stop_is_kept(shop: Shop) -> None:
    pulse = Pulse(shop.clock, SESSION_MS)
    pulse.stop("the worker is leaving")
    pulse.stop("something else")

    with pytest.raises(WorkerStopped, match="the worker is leaving"):
        pulse.check()


def test_what_stopped_it_is_the_cause_of_what_publishers_are_told(shop: Shop) -> None:
    pulse, error = Pulse(shop.clock, SESSION_MS), ValueError("a refusal")
    pulse.stop("it is refused", error)
    pulse.stop("the process has left", KeyError())

    with pytest.raises(WorkerStopped, match="refused") as told:
        pulse.check()
    assert told.value.__cause__ is error


def test_a_gap_is_told_though_nobody_publishes(shop: Shop) -> None:
    pulse, told = Pulse(shop.clock, SESSION_MS), queue.SimpleQueue[BaseException]()
    shop.clock.advance(SESSION_MS + 1)

    pulse.start(told.put)

    assert "stood still" in str(told.get(timeout=120))


def pulses() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name == "jobstream-pulse"}


def test_a_process_that_leaves_is_told_nothing(shop: Shop) -> None:
    pulse, told = Pulse(shop.clock, SESSION_MS), queue.SimpleQueue[BaseException]()
    before = pulses()
    pulse.start(told.put)
    (beating,) = pulses() - before

    pulse.stop("the worker is leaving")
    shop.clock.advance(SESSION_MS + 1)
    beating.join(120)

    assert told.empty()


def test_a_guarded_sink_publishes_nothing_after_the_gap(shop: Shop) -> None:
    pulse = Pulse(shop.clock, SESSION_MS)
    sink = GuardedSink(shop.sink, pulse)
    place = (shop.plan.dedup, 0)
    sink.publish([Outgoing(shop.plan.dedup, b"k", b"v", 0)])
    sink.send_rows(place, [{"key": b"l", "value": b"v"}])
    shop.clock.advance(SESSION_MS + 1)

    with pytest.raises(WorkerStopped):
        sink.publish([Outgoing(shop.plan.dedup, b"m", b"v", 0)])
    with pytest.raises(WorkerStopped):
        sink.send([Outgoing(shop.plan.dedup, b"n", b"v", 0)])
    with pytest.raises(WorkerStopped):
        sink.send_rows(place, [{"key": b"o", "value": b"v"}])

    assert [record.key() for record in shop.broker.records(shop.plan.dedup)] == [b"k", b"l"]


def test_silence_is_judged_by_the_session_that_the_group_keeps() -> None:
    asked: list[int] = []

    def silence(limit_ms: int) -> bool:
        asked.append(limit_ms)
        return limit_ms < 40_000

    pulse = Pulse(VirtualClock(), SESSION_MS)
    pulse.hear_by(silence)
    assert not pulse.is_silent(), "the group's session is not known"
    pulse.narrow(40_000)
    assert not pulse.is_silent()
    pulse.narrow(5_000)
    assert pulse.is_silent()
    assert asked == [40_000, 5_000]
