"""The state of a job where its records alone do not say it all: none, late, damaged or running."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobstream.operate.job_states import JobNow, JobStates, Wanted
from jobstream.operate.positions import GroupPlace
from jobstream.operate.state_names import RUNNING
from jobstream.testing.memory_record import MemoryRecord
from jobstream_processors.core.headers import Carried, Headers, render
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Catalogue, JobCodec, Meta, Mirror, Row, encode_row, row_key

QUEUE, DEDUP, DLQ = "shop.mail", "shop.mail.dedup", "shop.mail.dlq"
RUNG = "shop.mail.retry.10m"
EVERY = Wanted(limit=100)


@dataclass(frozen=True)
class Mail:
    to: str


CODEC = JobCodec(Mail, "send")


def record(
    topic: str, key: bytes, value: bytes | None, headers: Headers | None = None, offset: int = 0
) -> MemoryRecord:
    return MemoryRecord(Outgoing(topic, key, value, 0, headers), (0, offset), 1_000 + offset, 0)


def copy(
    job_id: str, carried: Carried | None = None, *, offset: int = 0, topic: str = QUEUE
) -> MemoryRecord:
    value = CODEC.encode(Meta(job_id, 0, "test", order_key="k"), Mail("ann"))
    return record(topic, b"", value, render(carried) if carried is not None else None, offset)


def row(job_id: str, state: str, redrive: int = 0, *, offset: int = 0) -> MemoryRecord:
    fingerprint = CODEC.schema.fingerprint
    made = Row(
        "job", job_id, state, redrive, fingerprint=fingerprint, digest=b"8 bytes.", detail="x"
    )
    return record(DEDUP, row_key(made), encode_row(made), offset=offset)


def standing(topic: str, committed: int = 0, mirror: Mirror | None = None) -> GroupPlace:
    at = Mirror("shop", topic, "", 0, committed, (), 0, 0) if mirror is None else mirror
    return GroupPlace((topic, 0), 0, 100, None, at, "")


def states(wanted: Wanted = EVERY, finished: int = 0, may_begin: int = 0) -> JobStates:
    catalogue = Catalogue()
    catalogue.register(CODEC.schema)
    mirror = Mirror("shop", QUEUE, "", 0, finished, (), 0, 0, 0, may_begin)
    places = {(QUEUE, 0): standing(QUEUE, mirror=mirror), (RUNG, 0): standing(RUNG)}
    return JobStates(catalogue, places, wanted)


def told(made: JobStates, *running: JobNow) -> dict[str, str]:
    return {job.id: job.state for job in made.found(running)[0]}


def test_a_finished_copy_without_a_row_is_not_told() -> None:
    """Its row has grown old: what became of it nobody knows any more."""
    made = states(finished=1)
    made.copy(copy("old"), "mail")
    made.copy(copy("new", offset=1), "mail")

    assert told(made) == {"new": "waiting"}


@pytest.mark.parametrize("order", [("dead", "done"), ("done", "dead")])
def test_done_stays_done_in_whichever_order_rows_come(order: tuple[str, ...]) -> None:
    made = states()
    for offset, state in enumerate(order):
        made.row(row("a", state, offset=offset), "mail")
    made.row(row("a", "done", redrive=1, offset=2), "mail")

    jobs, counts = made.found()
    assert [(job.id, job.state) for job in jobs] == [("a", "done")]
    assert counts == {"done": 1}


@pytest.mark.parametrize("order", [(("dead", 0), ("expired", 1)), (("expired", 1), ("dead", 0))])
def test_the_newest_redrive_tells_how_a_job_ended(order: tuple[tuple[str, int], ...]) -> None:
    made = states()
    for offset, (state, redrive) in enumerate(order):
        made.row(row("a", state, redrive, offset=offset), "mail")

    assert told(made) == {"a": "expired"}


def test_what_has_no_id_is_told_by_its_place() -> None:
    made = states()
    made.copy(record(QUEUE, b"", b"no job", offset=0), "mail")
    made.copy(
        record(QUEUE, b"", b"no job", render(Carried(origin=f"{QUEUE}:0:9")), offset=1), "mail"
    )
    made.copy(record(QUEUE, b"", b"no job", [("js-seq", b"x")], offset=2), "mail")
    made.copy(record(QUEUE, b"", None, offset=3), "mail")
    made.row(record(DEDUP, b"no row", b"at all"), "mail")
    made.row(record(DEDUP, b"job:a:done:0", None), "mail")

    assert told(made) == {f"@{QUEUE}:0:{n}": "waiting" for n in (0, 2, 3, 9)}


def test_a_letter_without_a_row_is_a_dead_job_and_a_closed_one_none() -> None:
    made = states()
    for key in (b"@shop.mail.retry.1h:0:3:0", b"b:0"):
        made.letter(record(DLQ, key, b"", [("js-reason", b"bad_headers")]), "mail")
    made.letter(record(DLQ, b"b:0", None, offset=1), "mail")

    (job,) = made.found()[0]
    assert (job.id, job.state, job.reason) == ("@shop.mail.retry.1h:0:3", "dead", "bad_headers")


def test_a_strangers_key_with_a_number_too_long_to_read_ends_no_look() -> None:
    made = states()

    made.letter(record(DLQ, b"a:" + b"9" * 5_000, b""), "mail")

    assert told(made) == {"a": "dead"}


def test_a_dead_job_tells_its_error_or_that_its_letter_is_closed() -> None:
    made = states()
    for job_id in ("open", "closed"):
        made.row(row(job_id, "dead"), "mail")
    headers = render(Carried(error="E", frame="shop.py:7 in send"))
    made.letter(record(DLQ, b"open:0", b"", headers), "mail")

    jobs = {job.id: (job.error, job.letter_closed) for job in made.found()[0]}
    assert jobs == {"open": ("E at shop.py:7 in send", False), "closed": ("", True)}


def test_a_row_since_then_holds_over_what_a_process_said() -> None:
    runs = [JobNow(each, "send", "mail", RUNNING, 5, 1) for each in ("a", "b", "old")]
    made = states()
    for offset, job_id in enumerate("abc"):
        made.copy(copy(job_id, offset=offset), "mail")
    made.row(row("b", "done"), "mail")

    jobs, counts = made.found(runs)

    assert {job.id: (job.state, job.key) for job in jobs} == {
        "a": ("running", "k"),
        "b": ("done", None),
        "c": ("waiting", "k"),
        "old": ("running", None),
    }
    assert counts == {"running": 2, "done": 1, "waiting": 1}


def test_types_and_times_narrow_down_and_count_no_other() -> None:
    made = states(Wanted(limit=100, since_ms=1_001, job_types=("se*",)))
    for offset in range(3):
        made.row(row(f"j-{offset}", "done", offset=offset), "mail")
    none = states(Wanted(limit=100, job_types=("other",)))
    none.row(row("a", "done"), "mail")
    none.copy(copy("b"), "mail")

    assert told(made) == {"j-1": "done", "j-2": "done"}
    assert none.found() == ([], {})


def test_where_it_stands_and_whether_it_may_run_already() -> None:
    made = states(finished=2, may_begin=4)
    for offset in (3, 4):
        made.copy(copy(f"j-{offset}", offset=offset), "mail")
    made.copy(copy("late", Carried(seq=1, delay_ms=600_000), topic=RUNG), "mail", "10m")

    jobs = {job.id: (job.ahead, job.may_run, job.due_ms) for job in made.found()[0]}
    assert jobs == {
        "j-3": (1, True, None),
        "j-4": (2, False, None),
        "late": (None, False, 601_000),
    }
