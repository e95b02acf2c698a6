"""Which of several lines is next to get a slot, so that each has its share of the slots' time.

Stride scheduling, by what a start costs and not by starts alone: a line whose jobs are long starts
fewer of them. Each line has a tag, the time that it has used divided by its weight, and the line
with the lowest tag is next. A line that comes back with work begins where the others are: it has
earned nothing meanwhile, and what they used of its share is not held against them.

What a start costs is known at its end. Until then the line's tag holds a guess, beside what it has
used. Where the others are is told by what they have used alone: who comes while a start counts for
a minute, which then takes a millisecond, would stand a minute behind.
"""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING

from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

WEIGHT_MAX = 100
"""The largest weight: a line of weight 1 beside it still gets one part in a hundred and one."""


def check_weight(weight: object, name: str = "weight") -> int:
    """`weight`, if it is a whole number from 1 to `WEIGHT_MAX`; raises InvalidOption.

    Less than 1 would be a share that rounds to nothing.
    """
    if isinstance(weight, int) and not isinstance(weight, bool) and 1 <= weight <= WEIGHT_MAX:
        return weight
    fix = f"give a whole number from 1 to {WEIGHT_MAX}"
    if isinstance(weight, float) and 0 < weight < 1:
        fix = f"such a share rounds to nothing and would starve: {fix}, and multiply the others"
    message = f"{name}={weight!r}: {fix}"
    raise InvalidOption(message)


class Stride:
    """Lines by number, with their weights. Costs are whole numbers of any unit, such as µs."""

    def __init__(self, weights: Sequence[int]) -> None:
        whole = lcm(*weights)
        self._steps = [whole // weight for weight in weights]
        self._used = [0] * len(weights)
        self._tags = [0] * len(weights)
        """What each has used, and what its starts that go on are expected to use yet."""
        self._floors = [0] * len(weights)
        """No correction takes a line below where it came back: the past earns nothing."""

    def enter(self, line: int, others: Collection[int]) -> None:
        """The line has work again; it had none. `others` have some, too."""
        # While none waited, there was enough for all: a line that used it does not pay for that.
        used = [self._used[other] for other in others]
        floor = max(self._used[line], min(used) if used else max(self._used))
        self._tags[line] += floor - self._used[line]
        self._floors[line] = self._used[line] = floor

    def next(self, lines: Iterable[int]) -> int:
        """Which of these lines, all of which have work, is next; of equal ones the first."""
        tags = self._tags
        return min(lines, key=tags.__getitem__)

    def start(self, line: int, guess: int) -> None:
        """The line that is next starts something that is expected to cost so much."""
        self._tags[line] += guess * self._steps[line]

    def count(self, line: int, cost: int, *, of_guess: int) -> None:
        """What was started has cost so much more; so much of its guess is not expected any more."""
        step, used = self._steps[line], self._used[line]
        self._used[line] = max(used + cost * step, self._floors[line])
        self._tags[line] += self._used[line] - used - of_guess * step

    def forget(self, line: int) -> None:
        """Expect nothing more of what was started."""
        self._tags[line] = self._used[line]
