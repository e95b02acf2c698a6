"""Who serves a producer's reports: the thread that waits, or the producer's own. Never both."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.waiting import wait_until

from jobstream.kafka.produce import lasting, self_served
from jobstream.kafka.produce.lasting import Served
from jobstream.kafka.produce.self_served import SelfServed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S = 120.0
OWN = "jobstream-enqueue"


class FakeProducer:
    """Reports when a test says so, to the thread that polls; refuses two that poll at a time."""

    def __init__(self) -> None:
        self._due: list[Callable[[], object]] = []
        self._changed = threading.Condition()
        self._sent = 0
        self._polls = threading.Lock()
        self.polling = threading.Event()
        """Set while a thread other than the producer's own waits for reports."""
        self.served_by: list[str] = []
        """The thread that served each report."""
        self.two_at_a_time = False

    def __len__(self) -> int:
        return self._sent

    def send(self) -> None:
        """A record is under way."""
        self._sent += 1

    def report(self, done: Callable[[], object]) -> None:
        """The report of a record has come."""
        with self._changed:
            self._due.append(done)
            self._changed.notify_all()

    def poll(self, wait_s: float) -> int:
        name = threading.current_thread().name
        if not self._polls.acquire(blocking=False):
            self.two_at_a_time = True
            return 0
        try:
            with self._changed:
                if name != OWN:
                    self.polling.set()
                self._changed.wait_for(lambda: self._due, wait_s)
                due, self._due = self._due, []
            for done in due:
                self.served_by.append(name)
                self._sent -= 1
                done()
            return len(due)
        finally:
            self._polls.release()


class Desk:
    """A producer, and threads that send one record each and wait."""

    def __init__(self, made: SelfServed, fake: FakeProducer) -> None:
        self.made, self.fake = made, fake
        self.threads: list[threading.Thread] = []

    def pending(self) -> threading.Lock:
        """A record under way."""
        self.fake.send()
        pending = threading.Lock()
        pending.acquire()
        return pending

    def caller(self, name: str) -> threading.Lock:
        """Start a thread that sends and waits; released when it may return."""
        pending = self.pending()

        def wait() -> None:
            self.made.serve(pending, time.monotonic() + LIMIT_S)
            assert pending.acquire(timeout=LIMIT_S)

        self.threads.append(threading.Thread(target=wait, name=name, daemon=True))
        self.threads[-1].start()
        return pending

    def ended(self) -> bool:
        """Whether every caller has returned in time."""
        for thread in self.threads:
            thread.join(LIMIT_S)
        return not any(thread.is_alive() for thread in self.threads)


@pytest.fixture
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The own thread looks by itself only where the test says how often."""
    fake = FakeProducer()
    monkeypatch.setattr(lasting, "made", lambda *_: fake)
    monkeypatch.setattr(self_served, "POLL_S", getattr(request, "param", LIMIT_S))
    made = SelfServed({}, OWN)
    yield Desk(made, fake)
    made.retire()
    made.hand_over()
    fake.send()
    fake.report(lambda: None)
    assert not fake.two_at_a_time


def test_a_caller_alone_serves_its_own_report(desk: Desk) -> None:
    for _ in range(5):
        desk.fake.polling.clear()
        pending = desk.caller("first")
        assert desk.fake.polling.wait(LIMIT_S)
        desk.fake.report(pending.release)
        assert desk.ended()

    assert desk.fake.served_by == ["first"] * 5


def test_two_callers_both_return_and_then_the_own_thread_serves(desk: Desk) -> None:
    first = desk.caller("first")
    assert desk.fake.polling.wait(LIMIT_S)
    second, third = desk.caller("second"), desk.caller("third")
    desk.fake.report(first.release)
    desk.threads[0].join(LIMIT_S)
    desk.fake.report(second.release)
    desk.threads[1].join(LIMIT_S)
    desk.fake.report(third.release)

    assert desk.ended()
    assert desk.fake.served_by[0] == "first"
    assert desk.fake.served_by[-1] == OWN


def test_a_caller_that_gives_up_leaves_its_report_to_the_own_thread(desk: Desk) -> None:
    pending = desk.pending()
    desk.made.serve(pending, time.monotonic() + 0.01)
    assert pending.locked()

    desk.fake.report(pending.release)

    assert pending.acquire(timeout=LIMIT_S)
    assert desk.fake.served_by == [OWN]


def test_who_does_not_wait_is_served(desk: Desk) -> None:
    pending = desk.pending()
    desk.made.hand_over()
    desk.fake.report(pending.release)

    assert pending.acquire(timeout=LIMIT_S)
    assert desk.fake.served_by == [OWN]


@pytest.mark.parametrize("desk", [0.01], indirect=True)
def test_a_report_that_nobody_asked_for_is_served_too(desk: Desk) -> None:
    pending = desk.pending()
    desk.fake.report(pending.release)

    assert pending.acquire(timeout=LIMIT_S)
    assert desk.fake.served_by == [OWN]


def test_a_look_serves_what_is_there_and_waits_for_nothing(desk: Desk) -> None:
    pendings = [desk.pending() for _ in range(3)]
    for pending in pendings:
        desk.fake.report(pending.release)
    desk.made.look()

    assert not any(pending.locked() for pending in pendings)
    assert desk.fake.served_by == [threading.current_thread().name] * 3


def test_a_signal_in_the_middle_leaves_others_their_reports(desk: Desk) -> None:
    def interrupt() -> Any:  # noqa: ANN401 - it never returns
        raise KeyboardInterrupt

    mine, other = desk.pending(), desk.pending()
    desk.fake.report(interrupt)
    with pytest.raises(KeyboardInterrupt):
        desk.made.serve(mine, time.monotonic() + LIMIT_S)
    desk.fake.report(other.release)

    assert other.acquire(timeout=LIMIT_S)
    assert desk.fake.served_by[-1] == OWN


def test_green_threads_are_never_stopped_by_a_poll(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobstream.kafka.produce.self_served.patched_by", lambda: "gevent")
    pending = desk.pending()

    desk.made.serve(pending, time.monotonic() + LIMIT_S)
    desk.made.look()

    assert pending.locked()
    assert not desk.fake.polling.is_set()
    desk.fake.report(pending.release)
    assert pending.acquire(timeout=LIMIT_S)


@pytest.mark.parametrize("kind", [Served, SelfServed])
def test_a_fault_of_ours_is_told_and_another_producer_takes_its_place(
    kind: type[Served | SelfServed],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks() -> None:
        raise ZeroDivisionError

    fake = FakeProducer()
    monkeypatch.setattr(lasting, "made", lambda *_: fake)
    monkeypatch.setattr(self_served, "POLL_S", 0.01)
    fake.send()
    fake.report(breaks)
    served = kind({}, OWN)

    wait_until(lambda: "producer_failed" in caplog.messages, "it is told", limit_s=LIMIT_S)
    (told,) = [each for each in caplog.records if each.message == "producer_failed"]
    assert vars(told)["name_of_thread"] == OWN
    assert "ZeroDivisionError" in vars(told)["reason"]
    assert served.broken
