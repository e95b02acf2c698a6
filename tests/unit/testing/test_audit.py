"""The checker finds each fault it is there for, and blames nobody for what is allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobstream.testing.audit import HANDED_MS, Audit, audit
from jobstream.testing.ledger import Entry, Kill
from jobstream.testing.rows import StampedRow
from jobstream_schemas import Row


def start(
    at_ms: int,
    job_id: str = "a",
    *,
    redrive: int = 0,
    seq: int = 0,
    key: str = "",
    pid: int = 1,
    parent: int = 0,
) -> Entry:
    made = Entry("start", job_id, redrive, seq, 1, "work", key=key, pid=pid, parent=parent)
    return replace(made, at_ms=at_ms)


def end(at_ms: int, job_id: str = "a", *, pid: int = 1, seq: int = 0) -> Entry:
    return Entry("end", job_id, 0, seq, 1, "work", pid=pid, at_ms=at_ms)


def row(at_ms: int, state: str = "done", job_id: str = "a", redrive: int = 0) -> StampedRow:
    return StampedRow(Row("job", job_id, state, redrive), at_ms)


def moved(at_ms: int, seq: int = 0) -> StampedRow:
    return StampedRow(Row("moved", "a", "", 0, seq), at_ms)


def judged(
    entries: list[Entry], rows: list[StampedRow], *kills: Kill, ids: str = "a", held: str = ""
) -> Audit:
    return audit(entries, rows, ids, kills, hold_key=(held,))


def test_a_plain_run_is_clean() -> None:
    found = judged([start(10), end(12)], [row(15)])

    assert found == Audit(
        enqueued=1, done=1, dead=0, other=0, lost=0, doubled=0, reruns=0, order_violations=0
    )


def test_a_job_without_an_end_is_lost() -> None:
    found = judged([start(10)], [moved(15), row(20, job_id="b")], ids="abc")

    assert (found.enqueued, found.done, found.lost) == (3, 1, 2)
    assert found.findings == ("a: lost", "c: lost")


@pytest.mark.parametrize("state", ["dead", "cancelled", "expired", "duplicate"])
def test_other_ends_are_no_loss(state: str) -> None:
    found = judged([], [row(15, state)])

    assert (found.lost, found.dead, found.other) == (0, state == "dead", state != "dead")


def test_done_is_stronger_than_dead() -> None:
    found = judged([], [row(20, "dead", redrive=1), row(15, "done")])

    assert (found.done, found.dead) == (1, 0)


def test_a_redriven_job_that_started_again_is_open() -> None:
    assert judged([start(30, redrive=1)], [row(20, "dead")]).lost == 1
    assert judged([start(30, redrive=1)], [row(20, "dead"), row(40, "dead", redrive=1)]).lost == 0


def test_a_start_after_its_row_is_doubled_even_after_a_kill() -> None:
    found = judged([start(10), start(30, pid=2)], [row(15)], Kill(1, 12))

    assert (found.doubled, found.reruns) == (1, 1)
    assert "started 15 ms after it was settled" in found.findings[0]


def test_a_start_in_the_millisecond_of_the_row_is_no_proof() -> None:
    assert judged([start(15)], [row(15)]).doubled == 0
    assert judged([start(16)], [row(15)]).doubled == 1


def test_a_moved_row_settles_its_own_delivery_only() -> None:
    clean = judged([start(10), start(30, seq=1)], [moved(15), row(40)])
    doubled = judged([start(10), start(30, seq=1), start(31)], [moved(15), row(40)])

    assert (clean.doubled, clean.reruns) == (0, 0)
    assert doubled.doubled == 1


def test_a_dead_row_settles_its_redrive_and_those_below() -> None:
    assert judged([start(30, redrive=1)], [row(20, "dead"), row(40, redrive=1)]).doubled == 0
    assert judged([start(30)], [row(20, "dead", redrive=1)]).doubled == 1


def test_a_second_start_needs_a_kill_of_its_process() -> None:
    runs, rows = [start(10), start(30, pid=2)], [row(40)]

    assert judged(runs, rows).doubled == 1
    assert judged(runs, rows, Kill(3, 20)).doubled == 1
    assert judged(runs, rows, Kill(1, 9)).doubled == 1, "it began after the kill"
    assert judged(runs, rows, Kill(1, 31)).doubled == 1, "the kill came after the second start"
    killed = judged(runs, rows, Kill(1, 20))
    assert (killed.doubled, killed.reruns) == (0, 1)
    assert judged(runs, rows, Kill(None, 20)).doubled == 0


def test_a_child_process_dies_with_its_worker() -> None:
    runs = [start(10, pid=7, parent=1), start(30, pid=2)]

    assert judged(runs, [row(40)], Kill(1, 20)).doubled == 0


def test_a_child_may_start_what_it_was_handed_before_its_worker_froze() -> None:
    runs = [start(23, pid=7, parent=1), end(25, pid=7), start(9_000, pid=2)]

    assert judged(runs, [row(9_100)], Kill(1, 20, "freeze")).doubled == 0
    runs[0] = start(20 + HANDED_MS + 1, pid=7, parent=1)
    assert judged(runs, [row(9_100)], Kill(1, 20, "freeze")).doubled == 1, "nobody handed it that"


def test_a_start_under_way_at_the_freeze_is_told_after_the_thaw() -> None:
    runs = [start(5, "b"), start(30, pid=2), end(31, pid=2), start(50)]
    rows, freeze = [row(40)], Kill(1, 20, "freeze")

    found = judged(runs, rows, freeze)

    assert (found.doubled, found.reruns) == (0, 1), found.findings
    again = [*runs, start(51)]
    assert judged(again, rows, freeze).doubled == 1, "only one can have been under way"
    assert judged(runs, rows).doubled == 1, "nothing was frozen"
    assert judged(runs, rows, Kill(1, 20)).doubled == 1, "the dead start nothing"


def test_one_kill_excuses_one_start() -> None:
    runs = [start(10), start(30, pid=2), start(35, pid=3)]

    assert judged(runs, [row(40)], Kill(1, 20)).doubled == 1
    assert judged(runs, [row(40)], Kill(1, 20), Kill(2, 32)).doubled == 0


@pytest.mark.parametrize("kind", ["parked", "crash"])
def test_a_worker_may_start_again_what_it_keeps_in_place_or_counted(kind: str) -> None:
    release = StampedRow(Row(kind, "a", "", 0, 0, 1), 20)  # type: ignore[arg-type] # both are kinds

    assert judged([start(10), start(30)], [release, row(40)]).doubled == 0
    assert judged([start(10), start(19)], [release, row(40)]).doubled == 1
    assert judged([start(10), start(30), start(31)], [release, row(40)]).doubled == 1


def test_a_row_of_a_frozen_worker_settles_nothing() -> None:
    runs = [start(10), end(11), start(30, pid=2), end(35, pid=2)]
    freeze = Kill(1, 12, "freeze")

    assert judged(runs, [row(25)], freeze).doubled == 0, "only the frozen one can have written it"
    assert judged([*runs, start(50, pid=3)], [row(40)], freeze).doubled == 1, "this one was awake"
    assert judged(runs, [row(11)], freeze).doubled == 1, "written before the freeze"


def test_a_thawed_worker_that_starts_anew_settles_what_it_runs() -> None:
    runs = [start(8, "b"), start(10), end(11), start(30, pid=2)]

    assert judged(runs, [row(15)], Kill(1, 5, "freeze"), Kill(1, 20)).doubled == 1


def test_who_was_still_running_did_not_write_the_row() -> None:
    runs = [start(10), end(11), start(20, pid=2), start(30, pid=3), end(31, pid=3)]
    kills = [Kill(1, 12, "freeze"), Kill(2, 26)]

    found = judged(runs, [row(25), row(40)], *kills)

    assert (found.doubled, found.reruns) == (0, 2)


def test_first_starts_of_a_key_follow_the_queue() -> None:
    keyed = [start(10, "b", key="k"), start(20, "a", key="k"), start(5, "c", key="other")]
    rows = [row(50, job_id=i) for i in "abc"]

    found = judged(keyed, rows, ids="abc")
    assert found.order_violations == 1
    assert "a redrive 0" in found.findings[0]
    assert judged(keyed, rows, ids="bac").order_violations == 0


def test_only_held_keys_bind_later_starts() -> None:
    keyed = [start(10, key="k"), start(20, "b", key="k"), start(30, key="k", seq=1)]
    rows = [moved(11), row(40), row(40, job_id="b")]

    assert judged(keyed, rows, ids="ab").order_violations == 0
    assert judged(keyed, rows, ids="ab", held="work").order_violations == 1
