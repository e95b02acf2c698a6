"""How one simulation is made up."""

from __future__ import annotations

from dataclasses import dataclass, field

PRODUCER_CLOCK, WORKER_CLOCK, SLEPT = "producer_clock", "worker_clock", "slept"
CONDITIONS = frozenset((PRODUCER_CLOCK, WORKER_CLOCK, SLEPT))
"""What is wrong from the beginning."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one simulation is made up."""

    jobs: int = 20
    length_s: float = 30.0
    members: int = 2
    split: bool = False
    poison: bool = False
    narrow: bool = False
    hesitation: float = 0.0
    tick_s: float = 0.25
    drain_ms: int = 25_000
    rebalance_drain_ms: int = 60_000
    skews_ms: tuple[int, ...] = (0,)
    slots: int = 20
    ruled: bool = False
    """Whether all jobs are of types with rules."""
    ticks: bool = False
    """Whether schedules make jobs beside all others."""
    tenants: bool = False
    """Whether there are a loud tenant and a quiet one, and nothing else."""
    orders: int = 0
    """So many orders of operators to types with rules, some of which came later than others."""
    kinds: frozenset[str] = field(default_factory=frozenset)
