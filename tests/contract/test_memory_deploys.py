"""Two versions of one app over one log: what each makes of jobs that the other enqueued."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import pytest
from tests.contract.versions import New, Old, enqueue, thing, version

from jobstream import App, Backoff, Dead
from jobstream.testing import MemorySink, memory
from jobstream_processors.ports import Outgoing
from jobstream_schemas import DecimalSpec, Meta

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream import Context, Job


GROWN: dict[str, tuple[type[Any], type[Any], tuple[Any, ...], str]] = {
    "enum": (thing(("a", Old.Size)), thing(("a", New.Size)), (New.Size.LARGE,), "args.a: LARGE"),
    "literal": (
        thing(("a", Literal["x"])), thing(("a", Literal["x", "y"])), ("y",), "args.a: 'y'",
    ),
    "field removed": (thing(("a", int), ("b", str)), thing(("a", int)), (1,), "args.b: was not"),
    "field renamed": (thing(("a", int)), thing(("b", int)), (1,), "args.a: was not"),
    "int to float": (thing(("a", int)), thing(("a", float)), (1.5,), "args.a: was written as dou"),
    "made optional": (
        thing(("a", int)), thing(("a", int | None)), (None,), "args.a: was written as None",
    ),
}  # fmt: skip


@pytest.mark.parametrize("executor", ["async", "thread"])
@pytest.mark.parametrize("change", GROWN)
def test_an_old_worker_leaves_what_only_new_code_reads_to_new_code(
    change: str, executor: str
) -> None:
    before, after, values, _ = GROWN[change]
    (old, ran), (new, ran_new) = (version(each, executor=executor) for each in (before, after))
    with memory(old) as jobs:
        enqueued = enqueue(new, jobs, after(*values))
        jobs.run_for("30m")
        (waits,) = jobs.seen(enqueued)
        assert (waits.state, ran) == ("waiting", [])
    with memory(new, jobs.broker) as later:
        later.run_for("15m")  # its next try
        (done,) = later.assert_done(enqueued)
    assert ran_new == [after(*values)]
    assert done.attempt == 1, "a wait for code is no attempt"


@pytest.mark.parametrize("change", GROWN)
def test_after_an_hour_it_is_a_dead_letter_that_names_the_field(change: str) -> None:
    before, after, values, said = GROWN[change]
    (old, ran), (new, _) = version(before), version(after)
    with memory(old) as jobs:
        enqueued = enqueue(new, jobs, after(*values))
        jobs.run_for("59m")
        assert [job.state for job in jobs.seen(enqueued)] == ["waiting"]
        jobs.run_for("2m")
        (dead,) = jobs.assert_dead(enqueued, why=said)
    assert (dead.reason, dead.error) == ("schema_mismatch", "jobstream.SchemaMismatch")
    assert ran == []


def test_damage_is_not_waited_for_whatever_schema_wrote_it() -> None:
    (old, _), (new, _) = version(thing(("a", int), ("b", str))), version(thing(("a", int)))
    codec, plan = new.jobs["send"].codec, old.plan(old.queues["mail"])
    with memory(old) as jobs:
        sound = enqueue(new, jobs, codec.cls(300))
        damaged = codec.encode(Meta("damaged", 0, "test"), codec.cls(300))[:-1]
        MemorySink(jobs.broker).publish([Outgoing(plan.topic, b"k", damaged, 0)])
        jobs.run_for("1m")
        letters = [dict(each.headers() or ()) for each in jobs.broker.records(plan.dlq)]
        assert [letter["js-reason"] for letter in letters] == [b"undecodable"]
        assert [job.state for job in jobs.seen(sound)] == ["waiting"]


@pytest.mark.parametrize(
    ("refusal", "reason", "why"),
    [
        (ValueError("no cup"), "schema_mismatch", "Thing refuses these values: ValueError: no cup"),
        (SystemExit("no cup"), "attempts_exhausted", "SystemExit"),
        (Dead("no cup"), "dead_by_handler", "no cup"),
    ],
    ids=["exception", "exit", "outcome"],
)
def test_what_its_class_refuses_is_seen_as_dead(
    refusal: BaseException, reason: str, why: str
) -> None:
    @dataclass(frozen=True)
    class Thing:
        a: int

        def __post_init__(self) -> None:
            raise refusal

    (old, _), (new, ran) = version(thing(("a", int))), version(Thing)
    with memory(old) as jobs:
        enqueued = enqueue(old, jobs, old.jobs["send"].codec.cls(1))
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
        (dead,) = later.assert_dead(enqueued, why=why)
    assert (dead.reason, dead.args, ran) == (reason, None, [])


def test_a_held_key_keeps_its_order_over_the_deploy() -> None:
    before, after = thing(("a", Old.Size)), thing(("a", New.Size))
    (old, ran), (new, ran_new) = (version(each, hold_key=True) for each in (before, after))
    with memory(old) as jobs:
        first = enqueue(new, jobs, after(New.Size.LARGE), key="k")
        second = old.jobs["send"].enqueue(before(Old.Size.SMALL), key="k")
        other = old.jobs["send"].enqueue(before(Old.Size.SMALL), key="other")
        jobs.run_for("20m")
        assert [job.state for job in jobs.seen()] == ["waiting", "waiting", "done"]
        assert jobs.seen()[2].id == other.job_id
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
        later.assert_done(first)
        later.assert_done(second)
    assert len(ran) == 1
    assert ran_new == [after(New.Size.LARGE), after(New.Size.SMALL)]


def test_an_old_job_gets_the_defaults_that_python_makes() -> None:
    (old, _), (new, ran_new) = version(Old.Order), version(New.Order)
    with memory(old) as jobs:
        for item in ("cup", "pot"):
            old.jobs["send"].enqueue(Old.Order(item))
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
        later.assert_done(new.jobs["send"])
    # By any order: they may stand on two partitions.
    cup, pot = sorted(ran_new, key=lambda order: str(order.item))
    assert (cup.item, pot.item) == ("cup", "pot")
    assert isinstance(cup.id, UUID)
    assert cup.id != pot.id
    assert cup.at.tzinfo is UTC
    assert cup.tags == pot.tags == ["web"]
    assert cup.tags is not pot.tags


def test_an_old_worker_runs_new_jobs_that_it_can_read() -> None:
    (old, ran), (new, _) = version(Old.Order), version(New.Order)
    with memory(old) as jobs:
        enqueue(new, jobs, New.Order("cup", 2))
        jobs.run_until_idle()
    assert ran == [Old.Order("cup", 2)]


def test_a_worker_says_once_which_code_it_lacks(caplog: pytest.LogCaptureFixture) -> None:
    before, after, values, _ = GROWN["enum"]
    (old, _), (new, _) = version(before), version(after)
    with memory(old) as jobs:
        for _ in range(3):
            enqueue(new, jobs, after(*values))
        jobs.run_for("10m")
    (said,) = [each for each in caplog.records if each.message == "job_waits_for_code"]
    assert (said.levelname, said.job) == ("WARNING", "send")  # type: ignore[attr-defined] # an extra
    assert "args.a: LARGE is not a member of Size" in said.reason  # type: ignore[attr-defined] # an extra


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (Annotated[Decimal, DecimalSpec(9, 2)], Annotated[Decimal, DecimalSpec(9, 3)], Decimal(1)),
        (int, datetime, 1_790_000_000),
        (datetime, int, datetime(2026, 1, 1, tzinfo=UTC)),
        (str, UUID, str(UUID(int=1))),
    ],
)
def test_a_value_is_never_taken_for_what_it_was_not(
    before: Any,  # noqa: ANN401 - a type
    after: Any,  # noqa: ANN401 - likewise
    value: object,
) -> None:
    """Avro's own canonical form tells none of these apart."""
    old, _ = version(thing(("a", before)))
    new, ran = version(thing(("a", after)))
    with memory(old) as jobs:
        enqueued = old.jobs["send"].enqueue(old.jobs["send"].codec.cls(value))
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
        later.assert_dead(enqueued, why="is read as")
    assert ran == []


@dataclass(frozen=True)
class Parcel:
    number: int


def family(
    child_args: type[Any], child: str, aliases: tuple[str, ...] = (), *, fails: bool
) -> tuple[App, list[Any]]:
    """A version of an app whose parent enqueues two children, and then fails if told so."""
    app = App("shop")
    mail = app.queue("mail", partitions=1)
    ran: list[Any] = []
    job: Job[Any, Any] = app.declare(child, child_args, queue=mail, aliases=aliases)
    job.handler(asked_to_note(ran))

    def pack(_: Parcel, ctx: Context) -> None:
        for item in ("cup", "pot"):
            ctx.enqueue(job, child_args(item))
        if fails:
            raise OSError

    app.declare(
        "pack", Parcel, queue=mail, retry=Backoff(first="10m", cap="10m", jitter=False)
    ).handler(pack)
    return app, ran


def asked_to_note(ran: list[Any]) -> Callable[[Any], None]:
    def note(args: Any) -> None:  # noqa: ANN401 - of any version
        ran.append(args)

    return note


LATER = make_dataclass(
    "Order",
    [
        ("item", str),
        ("tags", list[str], field(default_factory=lambda: ["web"])),
        ("count", int, 1),
    ],
    frozen=True,
)


@pytest.mark.parametrize(
    ("after", "child", "aliases"),
    [
        (LATER, "send", ()),
        (Old.Order, "post", ("send",)),
        (Old.Order, "ship", ("send", "post")),
    ],
    ids=["fields added", "type renamed", "type renamed twice"],
)
def test_a_parent_retried_by_another_version_repeats_no_child(
    after: type[Any], child: str, aliases: tuple[str, ...]
) -> None:
    old, ran = family(Old.Order, "send", fails=True)
    new, ran_new = family(after, child, aliases, fails=False)
    with memory(old) as jobs:
        parent = old.jobs["pack"].enqueue(Parcel(1))
        jobs.run_for("1m")
    assert ran == [Old.Order("cup"), Old.Order("pot")]
    with memory(new, jobs.broker) as later:
        later.run_until_idle()
        (packed,) = later.assert_done(parent)
        letters = jobs.broker.records(new.plan(new.queues["mail"]).dlq)
    assert packed.attempt > 1
    assert ran_new == []
    assert letters == []


def test_an_idempotency_key_outlives_the_name_of_its_type() -> None:
    old, _ = version(Old.Order)
    app = App("shop")
    ran: list[Any] = []
    ship: Job[Any, Any] = app.declare(
        "ship", Old.Order, queue=app.queue("mail", partitions=1), aliases=["send"]
    )
    ship.handler(asked_to_note(ran))
    with memory(old) as jobs:
        first = old.jobs["send"].enqueue(Old.Order("cup"), idempotency_key="o-1")
        jobs.run_until_idle()
    with memory(app, jobs.broker) as later:
        again = ship.enqueue(Old.Order("cup"), idempotency_key="o-1")
        later.run_until_idle()
        assert later.broker.records(app.plan(app.queues["mail"]).dlq) == []
    assert again.job_id == first.job_id
    assert ran == []
