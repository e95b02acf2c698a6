"""What one decision writes: the copies, the row, and what the row lets the table know.

Decisions in, records out; nothing is published here. The order of publishing is settle's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from jobstream_processors.core import known
from jobstream_processors.core.decide import (
    CountCrash,
    DeadLetter,
    Decision,
    End,
    Finish,
    Leave,
    LetGo,
    Postpone,
    Retry,
    RetryInPlace,
    WaitInPlace,
)
from jobstream_processors.core.headers import render
from jobstream_processors.core.known import Known, Parked
from jobstream_processors.core.letters import POINTER, TOO_LARGE, letter_headers
from jobstream_processors.ports import Outgoing
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import Row, RowKind, encode_row, row_key

if TYPE_CHECKING:
    from jobstream_processors.core.headers import Carried, Headers
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.queue_plan import QueuePlan


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is to be acknowledged before the offset may be finished."""

    copy: Outgoing | None
    row: Outgoing
    fact: Known


def settlement_of(
    delivery: Delivery, decision: Decision, plan: QueuePlan, now_ms: int
) -> Settlement | None:
    """The records that settle `delivery`; None where it writes none itself."""
    match decision:
        case Leave() | WaitInPlace() | LetGo():
            return None
        case Finish():
            return _written(delivery, plan, _end_row(delivery, known.DONE, now_ms))
        case End(state, reason):
            return _written(delivery, plan, _end_row(delivery, state, now_ms, reason))
        case Retry(carried) | Postpone(carried):
            row = _blank_row(delivery, "moved", now_ms)
            return _written(delivery, plan, row, copy=_ladder_copy(delivery, carried, plan))
        case DeadLetter(carried, pointer):
            row = _end_row(delivery, known.DEAD, now_ms, carried.reason)
            write = pointer_letter_of if pointer else letter_of
            return _written(delivery, plan, row, copy=write(delivery, carried, plan))
        case RetryInPlace(attempt, delay_ms, snoozes, first_failed_ms):
            parked = Parked(attempt, now_ms + delay_ms, snoozes, first_failed_ms or 0)
            row = _blank_row(delivery, "parked", now_ms)
            row = row._replace(attempt=attempt, due=parked.due_ms, detail=parked.detail)
            return _written(delivery, plan, row)
        case CountCrash(crashes):
            row = _blank_row(delivery, "crash", now_ms)
            return _written(delivery, plan, row._replace(attempt=crashes))
        case _:
            assert_never(decision)


def letter_of(delivery: Delivery, carried: Carried, plan: QueuePlan) -> Outgoing:
    """The dead letter: the original bytes, and headers that say why, where from, how often."""
    carried = _placed(delivery, carried)
    headers = _headers(delivery, carried, plan.dlq)
    job_type = delivery.reader.job_type if delivery.reader is not None else None
    headers += letter_headers(job_type, carried, plan.release)
    headers.append(("js-key", delivery.record_key or b""))
    return Outgoing(plan.dlq, letter_key(delivery), delivery.value, delivery.origin[1], headers)


def pointer_letter_of(delivery: Delivery, carried: Carried, plan: QueuePlan) -> Outgoing:
    """A dead letter for a record too big to copy: it names the offset where the bytes stand."""
    full = letter_of(delivery, replace(carried, reason=carried.reason or TOO_LARGE), plan)
    place = ":".join(map(str, delivery.origin)).encode()
    headers = [*(full.headers or []), (POINTER, place)]
    # Keys and trace headers of a stranger may be what is too big: keep ours alone.
    ours = [(name, value) for name, value in headers if name.startswith("js-") and name != "js-key"]
    return full._replace(value=b"", headers=ours)


def letter_key(delivery: Delivery) -> bytes:
    """`<id>:<redrive>`: one open letter per redrive of a job."""
    return f"{delivery.id}:{delivery.carried.redrive}".encode()


def _ladder_copy(delivery: Delivery, carried: Carried, plan: QueuePlan) -> Outgoing:
    carried = _placed(delivery, carried)
    if (stand := delivery.unique) is not None and (stand.stays or stand.freed):
        carried = replace(carried, place=None if stand.freed else stand.place)
    topic, partition = plan.rung(carried.delay_ms or 0, delivery.origin[1])
    headers = _headers(delivery, carried, topic)
    return Outgoing(topic, delivery.record_key, delivery.value, partition, headers)


def _headers(delivery: Delivery, carried: Carried, topic: str) -> Headers:
    """The headers of the copy that goes to `topic`; a traced job's copy carries its trace on."""
    if delivery.trace is None:
        return render(carried, delivery.headers)
    return render(*delivery.trace.carry(carried, delivery.headers, topic))


def _placed(delivery: Delivery, carried: Carried) -> Carried:
    topic, partition, offset = delivery.origin
    origin = carried.origin or f"{topic}:{partition}:{offset}"
    return replace(carried, origin=origin, partition=partition)


def _blank_row(delivery: Delivery, kind: RowKind, now_ms: int) -> Row:
    carried = delivery.carried
    fingerprint, digest = delivery.identity()
    return Row(
        kind=kind,
        id=delivery.id,
        state="",
        redrive=carried.redrive,
        seq=carried.seq,
        attempt=carried.attempt,
        digest=digest,
        fingerprint=fingerprint,
        at=now_ms,
        due=0,
        detail="",
    )


def _end_row(delivery: Delivery, state: str, now_ms: int, detail: str = "") -> Row:
    return _blank_row(delivery, "job", now_ms)._replace(state=state, detail=detail[:200])


def _written(
    delivery: Delivery, plan: QueuePlan, row: Row, *, copy: Outgoing | None = None
) -> Settlement:
    record = Outgoing(plan.dedup, row_key(row), encode_row(row), delivery.origin[1])
    return Settlement(copy, record, fact_of(row))
