"""Settling: copies before rows, rows before the shard, and what failed stays unsettled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.decide import (
    FINISH,
    LEAVE,
    CountCrash,
    DeadLetter,
    End,
    Retry,
    RetryInPlace,
)
from jobstream_processors.core.fingerprint import cause_of
from jobstream_processors.core.headers import Carried, parse, render
from jobstream_processors.core.known import CANCELLED, DEAD, DONE, Known, Parked
from jobstream_processors.core.letters import FINGERPRINT, POINTER, RELEASE, TOO_LARGE, redriven
from jobstream_processors.settle.settler import PATIENCE_MS, Settler

if TYPE_CHECKING:
    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Outgoing

RETRY = Retry(Carried(seq=1, attempt=2, delay_ms=7_000))
DEAD_LETTER = DeadLetter(Carried(reason="permanent", error="builtins.ValueError"))


@pytest.fixture
def settler(shop: Shop) -> Settler:
    return Settler(shop.sink, shop.plans, shop.clock)


def delivery(shop: Shop, lane: Lane, job_id: str) -> Delivery:
    (made,) = shop.deliver(lane, shop.send(job_id))
    return made


def known(lane: Lane, job_id: str) -> Known:
    (found,) = lane.shard.get([job_id])
    return found or Known()


def test_done_is_one_row_and_the_shard_knows_it(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    jobs = [delivery(shop, lane, job_id) for job_id in "ab"]

    settled, again = settler.settle([(job, FINISH) for job in jobs])

    assert [job for job, _ in settled] == jobs
    assert again == []
    assert shop.told() == [("job", "a", DONE), ("job", "b", DONE)]
    assert known(lane, "b").done


def test_copies_of_a_batch_come_before_its_rows(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    retried, dies, done = (delivery(shop, lane, job_id) for job_id in "abc")

    settler.settle([(done, FINISH), (retried, RETRY), (dies, DEAD_LETTER)])

    rung, _ = shop.plan.rungs["5s"]
    assert shop.appended() == [rung, shop.plan.dlq, *[shop.plan.dedup] * 3]


@pytest.mark.parametrize("fate", ["absent", "appended"])
@pytest.mark.parametrize("decision", [RETRY, DEAD_LETTER], ids=["retry", "dead"])
def test_a_copy_that_failed_keeps_its_row_unpublished(
    shop: Shop, settler: Settler, decision: Decision, fate: str
) -> None:
    # Given a broker that acknowledges no copy of one of two jobs
    lane = shop.lane()
    bad, good = (delivery(shop, lane, job_id) for job_id in ("bad", "good"))

    def is_copy(record: Outgoing) -> bool:
        return record.topic != shop.plan.dedup and record.value == bad.value

    shop.broker.fail_publishes(is_copy, fate="absent" if fate == "absent" else "appended")

    # When both are settled, then the row of the bad one must not be there: it would absorb the job
    settled, again = settler.settle([(bad, decision), (good, decision)])
    assert [job for job, _ in settled] == [good]
    assert again == [(bad, decision)]
    assert [row.id for row in shop.rows()] == ["good"]
    assert known(lane, "bad") == Known()

    # And the same decision again, once the broker works, settles it
    shop.broker.heal()
    settled, again = settler.settle(again)
    assert [job for job, _ in settled] == [bad]
    assert [row.id for row in shop.rows()] == ["good", "bad"]


@pytest.mark.parametrize("fate", ["absent", "appended"])
@pytest.mark.parametrize("decision", [FINISH, RETRY], ids=["done", "moved"])
def test_a_row_that_failed_leaves_only_its_own_job_unsettled(
    shop: Shop, settler: Settler, decision: Decision, fate: str
) -> None:
    lane = shop.lane()
    jobs = [delivery(shop, lane, job_id) for job_id in ("one", "two", "three")]

    def is_row_of_two(record: Outgoing) -> bool:
        return record.topic == shop.plan.dedup and b"two" in (record.key or b"")

    shop.broker.fail_publishes(is_row_of_two, fate="absent" if fate == "absent" else "appended")
    settled, again = settler.settle([(job, decision) for job in jobs])

    assert [job.id for job, _ in settled] == ["one", "three"]
    assert [job.id for job, _ in again] == ["two"]
    # What was not acknowledged must not be known here either: a shard never runs ahead.
    assert known(lane, "two") == Known()
    assert known(lane, "three") != Known()


def test_rows_of_two_lanes_fail_apart(shop: Shop, settler: Settler) -> None:
    first, second = shop.lane(0), shop.lane(1)
    here = delivery(shop, first, "here")
    (there,) = shop.deliver(second, shop.put(shop.event("there"), partition=1))
    shop.broker.fail_publishes(lambda record: record.partition == 1, fate="absent")

    settled, again = settler.settle([(there, FINISH), (here, FINISH)])

    assert [job.id for job, _ in settled] == ["here"]
    assert [job.id for job, _ in again] == ["there"]
    assert known(first, "here").done
    assert not known(second, "there").done


def test_nothing_of_an_ended_lane_is_published(shop: Shop, settler: Settler) -> None:
    ended, live = shop.lane(), shop.lane(1)
    old = [delivery(shop, ended, job_id) for job_id in ("old", "older")]
    (new,) = shop.deliver(live, shop.put(shop.event("new"), partition=1))
    ended.live = False

    settled, again = settler.settle([(old[0], FINISH), (old[1], DEAD_LETTER), (new, FINISH)])

    assert [job.id for job, _ in settled] == ["new"]
    assert again == []
    assert shop.told() == [("job", "new", DONE)]
    assert shop.letters() == {}


def test_what_is_left_alone_writes_nothing(shop: Shop, settler: Settler) -> None:
    job = delivery(shop, shop.lane(), "a")

    assert settler.settle([(job, LEAVE)]) == ([], [])
    assert shop.appended() == []


def test_a_record_too_large_to_copy_dies_with_a_letter_that_points_to_it(
    shop: Shop, settler: Settler
) -> None:
    # Given a job that fits into the queue, but not with the headers of a copy
    lane = shop.lane()
    delivery(shop, lane, "first")
    (big,) = shop.deliver(lane, shop.put(shop.event("big", to="x" * (1_000_000 - 60))))
    big.headers = [("traceparent", b"t" * 500)]

    # When its copy is refused for its size, then another decision takes the place of the first
    settled, again = settler.settle([(big, RETRY)])
    assert settled == []
    ((job, decision),) = again
    assert job is big
    assert isinstance(decision, DeadLetter)
    assert decision.pointer

    # And that one settles: a small letter that names the place, then the row
    settled, again = settler.settle(again)
    assert (settled, again) == ([(big, decision)], [])
    headers = shop.letters()["big:0"]
    assert headers[POINTER] == f"{shop.plan.topic}:0:{big.offset}".encode()
    assert headers["js-reason"] == TOO_LARGE.encode()
    assert "traceparent" not in headers
    (letter,) = shop.broker.records(shop.plan.dlq)
    assert letter.value() == b""
    assert [(row.kind, row.state, row.detail) for row in shop.rows()] == [("job", DEAD, TOO_LARGE)]


def test_a_death_keeps_its_reason_when_the_letter_is_too_large(
    shop: Shop, settler: Settler
) -> None:
    lane = shop.lane()
    (big,) = shop.deliver(lane, shop.put(shop.event("big", to="x" * (1_000_000 - 60))))

    _, again = settler.settle([(big, DEAD_LETTER)])

    assert again == [(big, replace(DEAD_LETTER, pointer=True))]
    settled, _ = settler.settle(again)
    assert settled == again
    assert shop.letters()["big:0"]["js-reason"] == b"permanent"


@pytest.mark.parametrize("decision", [RETRY, DEAD_LETTER], ids=["retry", "dead"])
def test_a_copy_that_is_too_large_with_its_traceback_goes_without_it(
    shop: Shop, settler: Settler, decision: Retry | DeadLetter
) -> None:
    """A traceback is worth no record: neither its bytes nor its retry."""
    lane = shop.lane()
    (big,) = shop.deliver(lane, shop.put(shop.event("big", to="x" * (1_000_000 - 500))))
    carried = replace(decision.carried, error="E", frame="shop.py:7 in send", traceback="t" * 2_000)

    settled, again = settler.settle([(big, replace(decision, carried=carried))])
    assert settled == []
    settled, again = settler.settle(again)

    assert ([job for job, _ in settled], again) == ([big], [])
    topic = shop.plan.dlq if decision is DEAD_LETTER else shop.plan.rungs["5s"][0]
    (copy,) = shop.broker.records(topic)
    headers = dict(copy.headers() or ())
    assert copy.value() == big.value
    assert (headers["js-error"], headers["js-frame"]) == (b"E", b"shop.py:7 in send")
    assert "js-traceback" not in headers


def test_a_retry_goes_to_its_rung_with_the_bytes_it_came_with(shop: Shop, settler: Settler) -> None:
    lane = shop.lane(1)
    (job,) = shop.deliver(lane, shop.put(shop.event("a"), partition=1))

    settler.settle([(job, RETRY)])

    rung, count = shop.plan.rungs["5s"]
    assert count == 1
    (copy,) = shop.broker.records(rung)
    headers = dict(copy.headers() or ())
    assert (copy.key(), copy.value()) == (job.record_key, job.value)
    assert headers["js-partition"] == b"1"
    assert headers["js-origin"] == f"{shop.plan.topic}:1:0".encode()
    (row,) = shop.rows()
    # The row absorbs the delivery that was replaced, not the copy.
    assert (row.kind, row.redrive, row.seq) == ("moved", 0, 0)
    assert known(lane, "a").absorbs(0, 0) == "moved"
    assert known(lane, "a").absorbs(0, 1) is None


def test_waits_in_place_and_crashes_are_rows_alone(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    in_place, crashed, cancelled = (delivery(shop, lane, job_id) for job_id in "abc")

    settler.settle(
        [
            (in_place, RetryInPlace(2, 500, 3, 77)),
            (crashed, CountCrash(1, 1_000)),
            (cancelled, End(CANCELLED, "why")),
        ]
    )

    assert set(shop.appended()) == {shop.plan.dedup}
    due_ms = shop.clock.broker_ms() + 500
    assert known(lane, "a").parked_at(0, 0) == Parked(2, due_ms, snoozes=3, first_failed_ms=77)
    assert known(lane, "b").crashes_of(0) == 1
    assert known(lane, "c").absorbs(0, 0) == CANCELLED
    assert shop.rows()[2].detail == "why"


def test_what_is_late_is_returned_by_a_later_call(shop: Shop, settler: Settler) -> None:
    slow, quick = shop.lane(0), shop.lane(1)
    held, more = delivery(shop, slow, "held"), delivery(shop, slow, "more")
    (there,) = shop.deliver(quick, shop.put(shop.event("there"), partition=1))
    shop.broker.hold_publishes(lambda record: record.partition == 0)

    assert settler.settle([(held, FINISH), (there, FINISH)]) == ([(there, FINISH)], [])
    assert settler.waits
    assert (settler.is_late(slow), settler.is_late(quick)) == (True, False)
    # Only one batch is on its way; and a shard never runs ahead of the rows
    assert settler.settle([(more, FINISH)]) == ([], [])
    assert known(slow, "held") == Known()

    shop.broker.heal()
    assert settler.settle([]) == ([(held, FINISH), (more, FINISH)], [])
    assert (settler.waits, settler.is_late(slow)) == (False, False)
    assert [row.id for row in shop.rows()] == ["held", "more", "there"]
    assert known(slow, "held").done


def test_a_copy_that_is_late_holds_back_its_row_and_no_other(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    retried, done = delivery(shop, lane, "retried"), delivery(shop, lane, "done")
    shop.broker.hold_publishes(lambda record: record.topic != shop.plan.dedup)

    assert settler.settle([(retried, RETRY), (done, FINISH)]) == ([(done, FINISH)], [])
    assert [row.id for row in shop.rows()] == ["done"]

    shop.broker.heal()
    found = [settler.settle([]) for _ in range(2)]
    assert found == [([], []), ([(retried, RETRY)], [])]
    assert shop.told()[-1][:2] == ("moved", "retried")


def test_what_is_late_is_forgotten_with_its_lane(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    job, more = delivery(shop, lane, "a"), delivery(shop, lane, "b")
    shop.broker.hold_publishes(lambda _: True)
    settler.settle([(job, FINISH)])
    settler.settle([(more, FINISH)])

    lane.live = False
    shop.broker.heal()

    assert settler.settle([]) == ([], [])
    assert not settler.waits
    assert known(lane, "a") == Known(), "its table may be closed"


def test_what_a_lane_that_ended_sent_is_adrift_until_it_is_answered(
    shop: Shop, settler: Settler
) -> None:
    lane, other = shop.lane(), shop.lane(1)
    job = delivery(shop, lane, "a")
    shop.broker.hold_publishes(lambda _: True)
    settler.settle([(job, FINISH)])
    assert not settler.is_adrift(lane), "it has not ended"

    lane.live = False
    assert settler.settle([]) == ([], [])

    assert (settler.is_adrift(lane), settler.is_adrift(other)) == (True, False)
    assert settler.waits, "else nobody looks"
    shop.broker.heal()
    assert settler.settle([]) == ([], [])
    assert (settler.is_adrift(lane), settler.waits) == (False, False)
    assert [row.id for row in shop.rows()] == ["a"]


def test_the_log_says_what_was_not_published_where_and_why(
    shop: Shop, settler: Settler, caplog: pytest.LogCaptureFixture
) -> None:
    lane = shop.lane()
    jobs = [delivery(shop, lane, job_id) for job_id in "abc"]
    shop.broker.fail_publishes(lambda _: True, fate="absent")

    settler.settle([(jobs[0], FINISH), (jobs[1], FINISH), (jobs[2], DEAD_LETTER)])

    told = [entry for entry in caplog.records if entry.msg == "publish_failed"]
    found = [(vars(entry)["partition"], vars(entry)["jobs"]) for entry in told]
    assert found == [((shop.plan.dlq, 0), 1), ((shop.plan.dedup, 0), 2)]
    for entry in told:
        assert vars(entry)["reason"] == "switched to fail: not in the log"
        assert vars(entry)["code"] == "_MSG_TIMED_OUT"
        assert "settled again" in vars(entry)["next"]


def test_a_round_waits_for_all_that_is_late_together(shop: Shop) -> None:
    clock = shop.clock

    class Silent:
        """Rows that nobody acknowledges."""

        def failures(self, timeout_s: float) -> None:
            clock.advance(round(timeout_s * 1_000))

    class Away:
        def send_rows(self, place: object, rows: object) -> Silent:  # noqa: ARG002 - as the port has it
            return Silent()

        send, publish, publish_soon = shop.sink.send, shop.sink.publish, shop.sink.publish_soon

    settler = Settler(Away(), shop.plans, clock)
    here = delivery(shop, shop.lane(0), "here")
    (there,) = shop.deliver(shop.lane(1), shop.put(shop.event("there"), partition=1))
    began_ms = clock.monotonic_ms()

    assert settler.settle([(here, FINISH), (there, FINISH)]) == ([], [])
    assert settler.settle([]) == ([], [])

    assert clock.monotonic_ms() - began_ms == PATIENCE_MS


def test_a_letter_carries_cause_and_release_and_its_redrive_neither(
    shop: Shop, settler: Settler
) -> None:
    lane = shop.lane()
    died = replace(DEAD_LETTER.carried, error="E", frame="shop.py:7 in send", message="no order 7")
    stale = [(FINGERPRINT, b"0" * 12), (RELEASE, b"old")]
    (job,) = shop.deliver(lane, shop.put(shop.event("a")))
    job.headers = stale

    settler.settle([(job, replace(DEAD_LETTER, carried=died))])

    (letter,) = shop.broker.records(shop.plan.dlq)
    headers = list(letter.headers() or ())
    assert job.reader is not None
    cause = cause_of(job.reader.job_type, parse(headers))
    assert [value for name, value in headers if name == FINGERPRINT] == [cause.fingerprint.encode()]
    assert RELEASE not in dict(headers), "none is set"
    redriven_copy = render(redriven(parse(headers)), headers)
    assert not {FINGERPRINT, RELEASE} & dict(redriven_copy).keys()
