"""Keys that a type declares: in the event, in the record's key and partition, by every enqueue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App, ConfigError, Context, Debounce, Job, Limit, Unique, WrongArgs
from jobstream.enqueue.composing import When
from jobstream.testing import MemoryJobs, memory
from jobstream_processors.core.partition import partition_for
from jobstream_schemas import frame_of

if TYPE_CHECKING:
    from jobstream_schemas import Meta


@dataclass(frozen=True)
class Order:
    tenant: str
    number: int = 0


def declared(app: App, **options: object) -> Job[Order, object]:
    return app.declare("ship", Order, **options)  # type: ignore[arg-type]  # any options


def events(app: App, jobs: MemoryJobs, job: Job[Order, object]) -> list[tuple[Meta, bytes, int]]:
    """(meta, record key, partition) of every job of its type in the queue."""
    queue, fingerprint = app.plan(job.queue), job.codec.schema.fingerprint
    return [
        (job.codec.decode(value).meta, record.key() or b"", partition)
        for partition in range(queue.partitions)
        for record in jobs.broker.records(queue.topic, partition)
        if (value := record.value()) is not None and value.startswith(frame_of(fingerprint))
    ]


def test_every_enqueue_makes_the_keys_that_its_type_declares() -> None:
    app = App("shop")
    ship = declared(
        app,
        order_by=("tenant", "number"),
        unique=Unique(by=("tenant", "number")),
        limits=[Limit(concurrency=2, per="tenant"), Limit(rate="100/s")],
        fair_by="tenant",
    )

    @ship.handler
    def shipped(args: Order) -> None: ...

    @app.job
    def parent(args: Order, ctx: Context) -> None:
        ctx.enqueue(ship, args)

    with memory(app) as jobs:
        ship.enqueue(Order("t", 1))
        asyncio.run(ship.aenqueue(Order("t", 1)))
        ship.enqueue_many([Order("t", 1), Order("t", 1)])
        ship.enqueue(Order("t", 1), idempotency_key="click")
        ship.enqueue(Order("t", 1), delay="1ms")
        parent.enqueue(Order("t", 1))
        keyed = app.client.compose(ship._kind, Order("t", 1), When())  # noqa: SLF001 - its type's
        jobs.run_until_idle()
        found = events(app, jobs, ship)

    assert keyed[1].partition == partition_for(b'["t"]', 12)
    assert len(found) == 7
    for meta, key, partition in found:
        assert meta.order_key == '["t",1]'
        assert meta.unique_key == '!keep_first,done,3600000;ship["t",1]'
        assert meta.limit_key == 'ship["t"]'
        assert meta.fair_key == '["t"]'
        assert (key, partition) == (b'["t"]', keyed[1].partition)


def test_a_key_per_call_stands_where_the_type_makes_none() -> None:
    app = App("shop")
    ship = declared(app, fair_by="tenant", limits=[Limit(rate="100/s")])
    with memory(app):
        meta, record = app.client.compose(ship._kind, Order("t"), When(key="mine"))  # noqa: SLF001 - its type's
    assert (meta.order_key, meta.fair_key, record.key) == ("mine", '["t"]', b"mine")


def test_a_key_per_call_is_refused_where_the_type_makes_one() -> None:
    app = App("shop")
    ship = declared(app, unique=Unique(by="number"))
    with memory(app), pytest.raises(ConfigError, match=r"key='mine' is refused.*order_by="):
        ship.enqueue(Order("t"), key="mine")


def test_a_key_per_call_is_told_to_be_left_out_where_the_type_makes_that_very_key() -> None:
    app = App("shop")
    ship = declared(app, order_by="number")
    says = "order_by= makes the key of each job; leave it out"
    with memory(app), pytest.raises(ConfigError, match=says):
        ship.enqueue(Order("t"), key="mine")


def test_a_limit_smaller_than_the_partitions_puts_its_type_into_one() -> None:
    app = App("shop")
    ship = app.declare("post", Order, aliases=["ship"], limits=[Limit(concurrency=3)])
    with memory(app):
        composed = [
            app.client.compose(ship._kind, Order("t", n), When())[1]  # noqa: SLF001 - its type's
            for n in range(5)
        ]
    assert {(each.key, each.partition) for each in composed} == {
        (b"ship", partition_for(b"ship", 12))
    }


def test_wrong_args_are_named_before_a_key_is_made_of_them() -> None:
    app = App("shop")
    ship = declared(app, order_by="number")
    with memory(app), pytest.raises(WrongArgs, match=r"Order\.number"):
        ship.enqueue(Order("t", "x"))  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order_by": "tenat"}, "job 'ship': order_by .*did you mean 'tenant'"),
        ({"order_by": 5}, "order_by=5: give the name of a field"),
        ({"fair_by": ()}, r"fair_by=\(\): give the name"),
        ({"unique": ("tenant",)}, "unique=.* is not a Unique: write Unique"),
        ({"debounce": Unique(by="tenant")}, "debounce=.* is not a Debounce"),
        (
            {"unique": Unique(by="tenant"), "debounce": Debounce(by="tenant", wait="5s")},
            "leave one out",
        ),
        ({"limits": Limit(rate="1/s")}, "not a list of Limit"),
        (
            {"order_by": "number", "limits": [Limit(concurrency=1, per="tenant")]},
            "do not nest",
        ),
        ({"orderby": "number"}, "no job option 'orderby'; there are"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        declared(App("shop"), **options)
