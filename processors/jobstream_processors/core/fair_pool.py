"""Whose job is next, and when a job that can't wait here will have its turn: one kind of slots.

As many jobs are under way as there are slots, and what they take in some hundredths of a second.
Others wait in a line for each tenant, and slots go round the tenants (`core/drr.py`). Each has a
share of what may wait here of its partition. The rest of its jobs go away until their turns: these
are given out one after the other, at the pace at which its jobs run here. That is told by how long
slots were held, and not by how long jobs waited for the loop: sending them away would only keep
it busier. Times are milliseconds of one clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple

from jobstream_processors.core.drr import Drr, Item
from jobstream_processors.core.verdict import MOMENT_MS

if TYPE_CHECKING:
    from collections.abc import Hashable

KEPT_MAX: Final = 5_000
"""How many jobs of one kind of slots wait here at most while there are few tenants."""
KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
AHEAD_MS: Final = 20
"""How much work beyond the slots is under way, so that none is idle between two jobs."""
EARLY: Final = 0.85
"""A job comes back when so much of its wait is over: its turn may have come nearer."""
FAST_PER_MS: Final = 5
"""Where so many jobs end in a millisecond, sending one away costs more than running it: then a
partition is read on as they end."""
FORGET_MS: Final = 1_000
"""How often tenants of whom nothing is left are looked for, and jobs that were let go in vain."""
GRANT_MS: Final = 1_000
"""A job that was let go and has not begun for so long is kept by something else."""
LOOKS: Final = 4
"""So often nothing has ended before that tells how long jobs take."""
OUTLIER: Final = 8
"""A run that took more than so many times the mean counts for so many."""
UNKNOWN_MS: Final = 10.0
"""What a job is taken to take until some have ended."""


class Wish(NamedTuple):
    """What is to be known of a job that wants a slot."""

    tenant: str
    weight: int
    partition: Any
    """Any name of where it came from."""
    size: int
    """Its bytes."""
    back: bool = False
    """It has been away, and its turn has nearly come."""


class Took(NamedTuple):
    """What a run took of the slots."""

    ms: float
    alone: bool = False
    """No other job had a slot meanwhile: it kept the event loop to itself."""


class Tenant:
    """What is known of one fair key, while it has jobs here or turns to come."""

    __slots__ = ("away_ms", "back_ms", "kept", "mean_ms", "runs", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.kept: dict[Hashable, int] = {}
        """How many of its jobs wait here, by partition."""
        self.runs = 0
        self.mean_ms = 0.0
        """How long its last jobs held a slot; 0 while not known."""
        self.away_ms = self.back_ms = 0.0
        """The last turn that was given to a job that came, and to one that came back."""


class FairPool(Generic[Item]):
    """The jobs for one kind of slots."""

    def __init__(self, slots: int, window: int = 2 * KEPT_MAX) -> None:
        """`window`: how many jobs of a partition may be taken up; half of them may wait here.

        The other half is for those that run, and for those that have been away and come back.
        """
        self.partitions = 1
        """How many share what may wait here."""
        self._slots = slots
        self._kept_max = max(1, min(KEPT_MAX, (window - slots) // 2))
        self._line: Drr[Item] = Drr()
        self._tenants: dict[str, Tenant] = {}
        self._weights = 0
        """Of all tenants together."""
        self._weights_in: dict[Hashable, int] = {}
        """By partition: of the tenants whose jobs wait here."""
        self._waiting: dict[Item, Wish] = {}
        """Those in the line."""
        self._bytes = 0
        self._granted: dict[Item, float] = {}
        """Those that were let go and have not begun yet, and when."""
        self._runs: dict[Item, tuple[Wish, float, float]] = {}
        """Those under way: since when, and how long jobs kept all slots together by then."""
        self._began_ms = 0.0
        """The sum of the moments at which they began."""
        self._ended_ms = self._seen_ms = 0.0
        """When a job ended last, and when jobs were let go last."""
        self._looks = 0
        """How often that was looked for since one ended."""
        self._mean_ms = UNKNOWN_MS / slots
        """How long a job keeps all slots together."""
        self._forget_ms = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def tenants(self) -> int:
        """How many are known."""
        return len(self._tenants)

    def ask(self, item: Item, wish: Wish, now_ms: float) -> float | None:
        """None if it may begin. Else how long it is to wait: here, if that is a moment."""
        if item in self._granted:
            return None
        if item in self._waiting:
            return MOMENT_MS
        if not self._waiting and len(self._runs) + len(self._granted) < self._limit():
            self._granted[item] = now_ms
            return None
        tenant = self._tenant(wish)
        if self._has_room(tenant, wish) or self._per_ms() >= FAST_PER_MS:
            self._keep(item, tenant, wish)
            return MOMENT_MS
        return max(MOMENT_MS + 1, EARLY * (self._turn(tenant, wish, now_ms) - now_ms))

    def release(self, now_ms: float) -> list[Item]:
        """Take out those that may begin now; each is asked about again."""
        found: list[Item] = []
        self._seen_ms = now_ms
        self._looks += 1
        if self._granted and now_ms >= self._forget_ms:
            # What another rule keeps meanwhile stands in nobody's way, and is asked anew.
            old_ms = now_ms - GRANT_MS
            self._granted = {item: at for item, at in self._granted.items() if at > old_ms}
        if self._waiting:
            limit = self._limit()
            quantum = max(1, round(self._mean() * self._slots * 1_000))
            while self._waiting and len(self._runs) + len(self._granted) < limit:
                item = self._line.next(quantum, self._cost_us)
                self._unkeep(item)
                self._granted[item] = now_ms
                found.append(item)
        if now_ms >= self._forget_ms:
            self._forget_ms = now_ms + FORGET_MS
            self._forget_idle(now_ms)
        return found

    def began(self, item: Item, wish: Wish, now_ms: float) -> None:
        """It has a slot, or is about to get one."""
        self.drop(item)
        self._tenant(wish).runs += 1
        self._runs[item] = wish, now_ms, self._mean_ms
        self._began_ms += now_ms

    def ended(
        self, item: Item, now_ms: float, took: Took | None = None, *, ran: bool = True
    ) -> None:
        """It is through, or did not begin after all.

        Where it is not known what it `took`, that is told by how many were under way with it.
        """
        run = self._runs.pop(item, None)
        if run is None:
            return
        wish, began_ms, expected_ms = run
        self._began_ms -= began_ms
        tenant = self._tenants[wish.tenant]
        tenant.runs -= 1
        if ran:
            self._ended_ms, self._looks = now_ms, 0
            if took is None:
                mean_ms = (now_ms - began_ms) / max(self._slots, len(self._runs) + 1)
            elif took.alone:
                # One that has all slots costs the others as much as one in each of them.
                mean_ms, expected_ms = took.ms, self._mean_ms
            else:
                # Those that hang together end together: what was usual is told by their beginning.
                mean_ms = took.ms / self._slots
            # A thread that was not let go on for long says nothing of jobs; a change comes through.
            mean_ms = max(0.001, min(mean_ms, OUTLIER * expected_ms))
            self._mean_ms += (mean_ms - self._mean_ms) / 16
            mean_ms *= self._slots
            tenant.mean_ms += (mean_ms - tenant.mean_ms) / (8 if tenant.mean_ms else 1)

    def forget(self, partition: Hashable) -> None:
        """Nothing of the partition waits or has a slot here."""
        for item in [item for item, wish in self._waiting.items() if wish.partition == partition]:
            self.drop(item)
        # Of those that were let go, none comes: their grants run out.
        for item in [
            item for item, (wish, _, _) in self._runs.items() if wish.partition == partition
        ]:
            self.ended(item, 0.0, ran=False)

    def drop(self, item: Item) -> None:
        """It waits here no more, if it did."""
        self._granted.pop(item, None)
        if item in self._waiting:
            self._line.remove(self._waiting[item].tenant, item)
            self._unkeep(item)

    def _has_room(self, tenant: Tenant, wish: Wish) -> bool:
        """Whether one more may wait here within its tenant's share of its partition."""
        mine = tenant.kept.get(wish.partition, 0)
        weights = self._weights_in.get(wish.partition, 0)
        if not mine:
            weights += tenant.weight
        share = max(1, self._kept_max * tenant.weight // (weights * max(1, self.partitions)))
        if wish.back:
            share *= 2  # Those that come now are not to take its place.
        return mine < share and self._bytes < KEPT_BYTES_MAX

    def _keep(self, item: Item, tenant: Tenant, wish: Wish) -> None:
        partition, mine = wish.partition, tenant.kept.get(wish.partition, 0)
        if not mine:
            self._weights_in[partition] = self._weights_in.get(partition, 0) + tenant.weight
        tenant.kept[partition] = mine + 1
        self._waiting[item] = wish
        self._bytes += wish.size
        self._line.add(wish.tenant, item, tenant.weight)

    def _unkeep(self, item: Item) -> None:
        wish = self._waiting.pop(item)
        self._bytes -= wish.size
        tenant, partition = self._tenants[wish.tenant], wish.partition
        tenant.kept[partition] -= 1
        if tenant.kept[partition]:
            return
        del tenant.kept[partition]
        self._weights_in[partition] -= tenant.weight
        if not self._weights_in[partition]:
            del self._weights_in[partition]

    def _tenant(self, wish: Wish) -> Tenant:
        tenant = self._tenants.get(wish.tenant)
        if tenant is None:
            tenant = self._tenants[wish.tenant] = Tenant(wish.weight)
            self._weights += wish.weight
        return tenant

    def _forget_idle(self, now_ms: float) -> None:
        """Know nothing of tenants that have no jobs here and no turns to come."""
        for name, tenant in list(self._tenants.items()):
            idle = not (tenant.kept or tenant.runs)
            if idle and max(tenant.away_ms, tenant.back_ms) <= now_ms:
                del self._tenants[name]
                self._weights -= tenant.weight

    def _mean(self) -> float:
        """How long a job keeps all slots together: as the last ones, or as those that go on."""
        return max(self._mean_ms, self._stalled_ms() / self._slots)

    def _stalled_ms(self) -> float:
        """For how long nothing has ended, though the loop came round."""
        if not self._runs or self._looks < LOOKS:
            return 0.0
        return self._seen_ms - max(self._ended_ms, self._began_ms / len(self._runs))

    def _limit(self) -> int:
        """How many may be under way."""
        ahead = int(AHEAD_MS / self._mean())
        return self._slots + min(ahead, max(self._slots, 32))

    def _per_ms(self) -> float:
        """How many jobs the slots end in a millisecond."""
        return 1 / self._mean()

    def _cost_us(self, name: str) -> int:
        return max(1, round((self._tenants[name].mean_ms or self._mean_ms * self._slots) * 1_000))

    def _turn(self, tenant: Tenant, wish: Wish, now_ms: float) -> float:
        """When the next job of the tenant that is sent away is likely to have its turn."""
        gap_ms = self._weights * self._mean_ms / tenant.weight
        here_ms = now_ms + self._line.count(wish.tenant) * gap_ms
        again_ms = now_ms + self._stalled_ms() / EARLY
        if wish.back:
            tenant.back_ms = max(tenant.back_ms, here_ms) + gap_ms
            return max(tenant.back_ms, again_ms)
        tenant.away_ms = max(tenant.away_ms, here_ms) + gap_ms
        return max(tenant.away_ms, again_ms)
