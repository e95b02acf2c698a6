"""Gates that do not do their part, one for each rule."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.simulation.mutations import put

from jobstream_processors.core.breaker_guard import BreakerGuard
from jobstream_processors.core.decide import End
from jobstream_processors.core.fair_pool import FairPool
from jobstream_processors.core.gcra import CellRate, Gcra
from jobstream_processors.core.known import DUPLICATE
from jobstream_processors.engine.gates import unique
from jobstream_processors.engine.gates.fair import Turnstile
from jobstream_processors.engine.gates.limited_lane import LimitedLane
from jobstream_processors.engine.gates.unique import Uniques
from jobstream_processors.engine.turns import Turns
from jobstream_processors.engine.way import Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jobstream_processors.core.fair_pool import Wish
    from jobstream_processors.core.verdict import NotBefore
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom


@contextmanager
def keys_free_before_the_end() -> Iterator[None]:
    """A key is free when its job was handed to an executor, not when its end is acknowledged."""
    taken = Uniques.taken

    def freeing(self: Uniques, room: WaitingRoom, delivery: Delivery) -> None:
        taken(self, room, delivery)
        stand, asked = delivery.unique, self._lanes.get(room.lane)
        if stand is not None and asked is not None:
            asked.keys.leave(stand.name, delivery.id, delivery)
            self._wake(asked, stand.name)

    with put((Uniques, "taken", freeing)):
        yield


@contextmanager
def limits_that_forget() -> Iterator[None]:
    """After a change of owner nothing counts as started, and nothing as running."""

    def anew(self: LimitedLane, name: str, pace: CellRate) -> Gcra:  # noqa: ARG001 - the shape of it
        return Gcra(pace)

    def nowhere(self: LimitedLane, delivery: Delivery, now_ms: int) -> tuple[int, int]:  # noqa: ARG001
        return 0, 0

    with put((LimitedLane, "_taken_over", anew), (LimitedLane, "_elsewhere", nowhere)):
        yield


@contextmanager
def slots_not_counted() -> Iterator[None]:
    """Nobody counts how many run."""
    begins = LimitedLane.begins

    def uncounted(self: LimitedLane, delivery: Delivery) -> None:
        begins(self, delivery)
        for slots in self.running[delivery]:
            slots.running -= 1
        self.running[delivery] = []

    with put((LimitedLane, "begins", uncounted)):
        yield


@contextmanager
def breakers_that_stay_closed() -> Iterator[None]:
    """A breaker lets every job through."""

    def through(
        self: BreakerGuard,  # noqa: ARG001 - the shape of it
        now_ms: int,  # noqa: ARG001
        job_id: str,  # noqa: ARG001
        redrive: int,  # noqa: ARG001
        seq: int,  # noqa: ARG001
    ) -> NotBefore | None:
        return None

    with put((BreakerGuard, "verdict", through)):
        yield


@contextmanager
def turns_that_drop_a_tenant() -> Iterator[None]:
    """One tenant's jobs stay in the line for ever."""
    ask = FairPool.ask

    def dropping(
        self: FairPool[Delivery], item: Delivery, wish: Wish, now_ms: float
    ) -> float | None:
        if "tenant-0" in wish.tenant:
            return 1_000.0
        return ask(self, item, wish, now_ms)

    with put((FairPool, "ask", dropping)):
        yield


@contextmanager
def turns_past_pauses() -> Iterator[None]:
    """What has its turn begins, whatever its worker was told meanwhile."""

    def ease(self: Way) -> None:
        for delivery in self.turns.due():
            self.execute(self.rooms[delivery.lane], (delivery,))

    with put((Way, "ease", ease)):
        yield


@contextmanager
def waits_without_an_end() -> Iterator[None]:
    """What waits in memory for its turn is never asked again."""

    def nobody(self: Turns) -> list[tuple[WaitingRoom, Delivery]]:  # noqa: ARG001 - the shape of it
        return []

    with put((Turns, "due", nobody)):
        yield


@contextmanager
def losers_that_name_nobody() -> Iterator[None]:
    """A job that gives way does not say to which."""

    def nameless(state: str, reason: str) -> End:
        return End(state, "of " if state == DUPLICATE else reason)

    with put((unique, "End", nameless)):
        yield


@contextmanager
def turns_that_nobody_takes() -> Iterator[None]:
    """Jobs start as they come, whoever has enqueued them."""

    def at_once(*_: object) -> None:
        """It waits for no turn."""

    with put((Turnstile, "asks", at_once)):
        yield


@contextmanager
def a_window_that_one_tenant_fills() -> Iterator[None]:
    """As many jobs of a tenant wait in memory as if the window were that of a large worker."""
    made = Turnstile.__init__

    def wide(
        self: Turnstile, slots: Mapping[str, int], _: int, awake_s: Callable[[], float]
    ) -> None:
        made(self, slots, 10_000, awake_s)

    with put((Turnstile, "__init__", wide)):
        yield
