"""What a worker says that it obeys: pauses as soon as they hold, quiet once nothing is fetched."""

from __future__ import annotations

import pytest

from jobstream_processors.core.orders import KINDS, QUIET, Order, in_force
from jobstream_processors.watch.standing import LaneFacts, Standing

ORDERS = in_force([Order(kind, f"{kind}-it", "ann", "", 0, 10) for kind in KINDS], now_ms=1)
QUIETED = Order(QUIET, "host:*", "ann", "", 0, 10)


def lane(*paused: str, serving: bool = True) -> LaneFacts:
    return LaneFacts("mail", ("shop.mail", 0), serving, False, 0, 0, paused, False, 0)  # noqa: FBT003


def standing(*lanes: LaneFacts) -> Standing:
    orders = in_force([*ORDERS, QUIETED], now_ms=1)
    return Standing(lanes, (), 4, ticked_s=0.0, leaving=False, orders=orders)


def test_pauses_and_held_breakers_are_obeyed_and_cancels_are_not_told() -> None:
    told = [(entry.kind, entry.subject) for entry in standing(lane()).obeyed("host:1")]

    kinds = ("pause_queue", "pause_type", "hold_breaker")
    assert told == [(kind, f"{kind}-it") for kind in kinds]


@pytest.mark.parametrize(
    ("lanes", "is_quiet"),
    [
        ([], True),
        ([lane("quiet")], True),
        ([lane("quiet", "window"), lane(serving=False)], True),
        ([lane("quiet"), lane("operator")], False),
    ],
)
def test_a_worker_is_quiet_once_nothing_is_fetched(
    lanes: list[LaneFacts], *, is_quiet: bool
) -> None:
    assert (QUIETED in standing(*lanes).obeyed("host:1")) is is_quiet
    assert QUIETED not in standing(*lanes).obeyed("other:1")
