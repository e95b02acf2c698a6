"""A delayer with more records than memory may hold, wrong clocks, and waits on the wrong rung."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.kafka.consume.standstill import LOOK_MS as STANDSTILL_LOOK_MS
from jobstream_processors.assignment.skipped import AGAIN_MAX
from jobstream_processors.core.headers import Carried, parse, render
from jobstream_processors.delay.delayer import HOPS_MAX
from jobstream_processors.delay.group_member import LOOK_MS
from jobstream_processors.delay.hops import FAILED_HOLD_MS
from jobstream_processors.delay.rung import BYTES_MAX, RECORDS_MAX

if TYPE_CHECKING:
    from tests.unit.shop import Ladder


@pytest.mark.parametrize(
    ("rung", "size"), [("5s", 10), ("5s", BYTES_MAX // 400), ("0s", 10)], ids=str
)
def test_nothing_is_lost_when_a_rung_holds_more_than_memory_may(
    ladder: Ladder, rung: str, size: int
) -> None:
    """Also when records leave in the very turn in which others had found no room."""
    total = 2 * RECORDS_MAX + 5
    values = [f"{number:0{size}}".encode() for number in range(total)]
    delay_ms = 5_000 if rung == "5s" else 4_000
    for number, value in enumerate(values):
        ladder.put(rung, value, Carried(delay_ms=delay_ms, partition=0))
        if number in {RECORDS_MAX // 2, RECORDS_MAX}:
            ladder.turns()
        if number == RECORDS_MAX:
            ladder.shop.clock.advance(delay_ms)  # The first half is due when the others come.

    ladder.turns()
    ladder.pass_ms(delay_ms)

    assert ladder.arrived() == values


def test_a_full_rung_is_not_fetched_on(ladder: Ladder) -> None:
    place = (ladder.shop.plan.rungs["5s"][0], 0)
    for number in range(4 * RECORDS_MAX):
        ladder.put("5s", b"%d" % number, Carried(delay_ms=5_000, partition=0))

    ladder.turns()

    assert ladder.delayer.held()["mail", "5s"] <= RECORDS_MAX + HOPS_MAX
    assert ladder.pass_ms(5_000) == 4 * RECORDS_MAX
    assert ladder.shop.broker.span(place)[1] == 4 * RECORDS_MAX


def test_tracebacks_fill_the_room_as_jobs_do_and_go_along(ladder: Ladder) -> None:
    failed = Carried(delay_ms=5_000, partition=0, error="E", frame="f", traceback="t" * 8_000)
    for number in range(300):
        ladder.put("5s", b"%d" % number, failed)
        if number == BYTES_MAX // 8_000:
            ladder.turns()

    ladder.turns()

    assert ladder.delayer.held()["mail", "5s"] == BYTES_MAX // 8_000 + 1
    assert ladder.pass_ms(5_000) == 300
    trips = [parse(record.headers()) for record in ladder.queue()]
    assert {(carried.error, carried.frame, carried.traceback) for carried in trips} == {
        ("E", "f", "t" * 8_000)
    }


def test_a_hop_that_is_too_large_with_its_traceback_goes_without_it(ladder: Ladder) -> None:
    # A hop's headers are longer than those it came with: it tells an instant, not a wait.
    shop, carried = (
        ladder.shop,
        Carried(delay_ms=1, partition=0, error="E", traceback="t" * 2_000),
    )
    spare = sum(len(name) + len(value) for name, value in render(carried)) + len(b"key")
    ladder.put("0s", b"v" * (1_000_000 - spare), carried)

    assert ladder.pass_ms(1) == 1

    (arrived,) = ladder.queue()
    assert parse(arrived.headers()).error == "E"
    assert parse(arrived.headers()).traceback == ""
    assert shop.letters() == {}


def test_a_record_rests_after_its_hop_failed_and_others_go_on(ladder: Ladder) -> None:
    ladder.put("0s", b"a", Carried(delay_ms=10, partition=0))
    ladder.shop.broker.fail_publishes(1, fate="absent")

    assert ladder.pass_ms(10) == 0
    ladder.put("0s", b"b", Carried(delay_ms=1, partition=0))
    assert ladder.pass_ms(FAILED_HOLD_MS - 1) == 1
    assert ladder.pass_ms(1) == 1
    assert ladder.arrived() == [b"b", b"a"]


def test_a_clock_that_would_spin_holds_the_record_once_and_alone(
    ladder: Ladder, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a record that says it had less to wait when it was put there than it still has
    due_ms = ladder.shop.clock.broker_ms() + 60_000
    ladder.put("5s", b"a", Carried(delay_ms=20_000, due_ms=due_ms, partition=0))
    ladder.put("5s", b"b", Carried(delay_ms=5_000, partition=0))

    # When its rung is over, then hopping on would not bring it nearer: it stays, and that is told
    assert ladder.pass_ms(5_000) == 1
    assert "rung_clock_suspect" in caplog.messages
    assert ladder.on("30s") == []
    assert ladder.arrived() == [b"b"]

    # And it goes on after half its rung, or one wrong header would stop the rung for good
    caplog.clear()
    assert ladder.pass_ms(2_499) == 0
    assert ladder.pass_ms(1) == 1
    assert len(ladder.on("30s")) == 1
    assert caplog.messages == []


def test_a_wait_that_is_too_long_for_the_exact_rung_goes_where_it_belongs(ladder: Ladder) -> None:
    due_ms = ladder.shop.clock.broker_ms() + 90_000
    ladder.put("0s", b"a", Carried(due_ms=due_ms, partition=0))

    assert ladder.turns() == 1
    assert len(ladder.on("30s")) == 1
    ladder.pass_ms(89_999)
    assert ladder.arrived() == []
    ladder.pass_ms(1)
    assert ladder.arrived() == [b"a"]


def test_a_record_that_the_client_left_out_is_read_again(
    ladder: Ladder, caplog: pytest.LogCaptureFixture
) -> None:
    place = (ladder.shop.plan.rungs["5s"][0], 0)
    ladder.source.leave_out(place, 1)
    values = [b"%d" % number for number in range(3)]
    for value in values:
        ladder.put("5s", value, Carried(delay_ms=5_000, partition=0))

    ladder.pass_ms(5_000)

    assert sorted(ladder.arrived(), key=str) == values
    assert "record_skipped" in caplog.messages


def test_the_last_record_of_a_rung_that_the_client_left_out_is_read_again(
    ladder: Ladder, caplog: pytest.LogCaptureFixture
) -> None:
    place = (ladder.shop.plan.rungs["5s"][0], 0)
    ladder.source.leave_out(place, 1)
    for value in (b"0", b"1"):
        ladder.put("5s", value, Carried(delay_ms=5_000, partition=0))

    for _ in range(4):
        ladder.pass_ms(STANDSTILL_LOOK_MS)

    assert ladder.arrived() == [b"0", b"1"]
    assert "partition_started_anew" in caplog.messages


def test_a_rung_whose_client_leaves_it_out_again_and_again_keeps_its_place_and_goes_on(
    ladder: Ladder, caplog: pytest.LogCaptureFixture
) -> None:
    shop, place = ladder.shop, (ladder.shop.plan.rungs["5s"][0], 0)
    ladder.source.leave_out(place, 1, times=AGAIN_MAX + 1)
    values = [b"%d" % number for number in range(3)]
    for value in values:
        ladder.put("5s", value, Carried(delay_ms=5_000, partition=0))

    for _ in range(AGAIN_MAX + 1):
        ladder.pass_ms(5_000)
    assert ladder.arrived() == [b"0", b"2"]
    assert "partition_refused" in caplog.messages
    ladder.delayer.close()
    committed = shop.broker.committed("shop.delay", place)
    assert committed is not None
    assert committed.offset == 1
    ladder.new_delayer()
    ladder.turns()

    assert ladder.arrived() == [b"0", b"2", b"1"]


def test_a_full_rung_whose_client_cannot_read_again_yet_has_left_nothing_out_again(
    ladder: Ladder, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a rung that is full, and a record that its client left out
    place = (ladder.shop.plan.rungs["30s"][0], 0)
    ladder.source.leave_out(place, RECORDS_MAX)
    for number in range(RECORDS_MAX + 2):
        ladder.put("30s", b"%d" % number, Carried(delay_ms=30_000, partition=0))
        if number == RECORDS_MAX - 2:
            ladder.turns()

    # When it is looked for more often than a client may leave it out
    for _ in range(AGAIN_MAX + 2):
        ladder.pass_ms(LOOK_MS)

    # Then the client is asked once, and brings it as soon as there is room
    assert caplog.messages.count("record_skipped") == 1
    ladder.pass_ms(30_000)
    ladder.pass_ms(30_000)
    assert sorted(ladder.arrived(), key=str) == sorted(
        (b"%d" % number for number in range(RECORDS_MAX + 2)), key=str
    )
