"""A flood of one order key, ten windows long, on the worker's own parts over a broker in memory."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from dataclasses import dataclass
from itertools import count, islice

from jobstream import App
from jobstream.testing import memory
from jobstream_processors.assignment.lane import BATCH_MAX
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.core.partition import partition_for
from jobstream_processors.delivery import Delivery

FLOOD = 100_000
NEIGHBOURS = 100
ELSEWHERE = 1_000
LOOK_EVERY = 2_500
LIMIT_S = 1_800
"""Guards against hanging only: it takes up to half a minute of CPU, which a busy machine shares."""
TAKEN_MAX = Limits().window + 2 * BATCH_MAX
"""A window and the batch that filled it, and a batch of what is being settled."""


@dataclass(frozen=True)
class Step:
    key: str
    number: int


def keys_beside(key: str, *, same: bool) -> list[str]:
    """Ten other keys, whose jobs go to the same one of two partitions, or to the other one."""
    home = partition_for(key.encode(), 2)
    named = (f"key-{number}" for number in count())
    return list(islice((k for k in named if (partition_for(k.encode(), 2) == home) is same), 10))


def test_flood_of_one_key_holds_up_no_other_partition_and_ends_in_order() -> None:
    app = App("shop")
    ran: list[Step] = []
    taken: list[int] = []

    @app.job(queue=app.queue("orders", partitions=2))
    async def ship(args: Step) -> None:
        ran.append(args)
        if not args.number % 4:
            await asyncio.sleep(0)  # the others come in faster than this key can run
        if args.key == "flood" and not args.number % LOOK_EVERY:
            taken.append(sum(type(each) is Delivery for each in gc.get_objects()))

    beside, elsewhere = keys_beside("flood", same=True), keys_beside("flood", same=False)
    steps = [Step("flood", number) for number in range(FLOOD)]
    for number in reversed(range(NEIGHBOURS)):  # from behind, so that no place moves
        steps.insert((number + 1) * FLOOD // NEIGHBOURS, Step(beside[number % 10], number))
    steps += [Step(elsewhere[number % 10], number) for number in range(ELSEWHERE)]

    with memory(app) as jobs:
        ship.enqueue_many(steps, key=lambda step: step.key)
        jobs.run_until_idle(timeout_s=LIMIT_S)

    assert sorted(map(repr, ran)) == sorted(map(repr, steps)), "each of them ran, and ran once"
    numbers: dict[str, list[int]] = defaultdict(list)
    for step in ran:
        numbers[step.key].append(step.number)
    assert all(found == sorted(found) for found in numbers.values()), "in the order of the queue"
    assert len(taken) == FLOOD // LOOK_EVERY
    assert Limits().window // 2 < max(taken) <= TAKEN_MAX, "a window is full, and no more"
    place = {step: at for at, step in enumerate(ran)}
    flood = [place[Step("flood", number)] for number in range(FLOOD)]
    last_elsewhere = max(place[step] for step in steps[-ELSEWHERE:])
    assert last_elsewhere < flood[FLOOD // 10], "the other partition is done by then"
    for number in range(NEIGHBOURS):
        stands_behind = (number + 1) * FLOOD // NEIGHBOURS - 1
        passed = flood[stands_behind] - place[Step(beside[number % 10], number)]
        assert passed > 0, "another key of the partition passes the flood within the window"
