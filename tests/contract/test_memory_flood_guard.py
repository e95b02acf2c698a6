"""The flood guard in memory, beside the rules of a job type."""

from __future__ import annotations

from dataclasses import dataclass

from jobstream import App, Dead, Unique
from jobstream.testing import memory
from jobstream_processors.core.deaths import LIMIT


@dataclass(frozen=True)
class Order:
    number: int


def test_one_that_gives_its_key_up_as_it_starts_proves_that_a_flood_is_over() -> None:
    app = App("shop", size="small")
    shut, ran = LIMIT, list[int]()

    @app.job(queue=app.queue("mail", partitions=1), unique=Unique(by="number", until="start"))
    async def ship(args: Order) -> None:
        ran.append(args.number)
        if args.number < shut:
            msg = "gone"
            raise Dead(msg)

    with memory(app) as jobs:
        ship.enqueue_many([Order(number) for number in range(shut)])
        jobs.run_for("2s")
        ship.enqueue_many([Order(number) for number in range(shut, shut + 5)])
        jobs.run_for("2s")
        assert len(ran) == shut  # The guard is closed.

        jobs.run_for("1m")

    assert sorted(ran) == list(range(shut + 5))
