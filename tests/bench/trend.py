"""Whether something grew: the slope of samples over time, with a confidence interval.

Samples of a process's memory hang together: one that is high follows one that is high. So they are
put into twelve stretches of time, and only the means of these count as independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, linear_regression
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STRETCHES = 12
T_95 = 2.228
"""Student's t for 95 %, two-sided, and STRETCHES - 2 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A slope per hour, and the half width of its interval of 95 %."""

    slope: float
    within: float

    @property
    def at_most(self) -> float:
        """The upper end: more growth than this can be ruled out."""
        return self.slope + self.within

    def __str__(self) -> str:
        return f"{self.slope:+.2f} ± {self.within:.2f}"


def trend(samples: Sequence[tuple[float, float]]) -> Trend:
    """The trend of (seconds, value) in the order of time; raises ValueError for fewer than 24."""
    if len(samples) < 2 * STRETCHES:
        message = f"{len(samples)} samples tell no trend: {2 * STRETCHES} are needed"
        raise ValueError(message)
    means = []
    for stretch in range(STRETCHES):
        part = samples[_cut(samples, stretch) : _cut(samples, stretch + 1)]
        means.append((fmean(at for at, _ in part) / 3_600, fmean(value for _, value in part)))
    hours, values = zip(*means, strict=True)
    slope, at_zero = linear_regression(hours, values)
    left = sum((v - at_zero - slope * h) ** 2 for h, v in means)
    middle = fmean(hours)
    spread = sum((h - middle) ** 2 for h in hours)
    return Trend(slope, T_95 * math.sqrt(left / (STRETCHES - 2) / spread))


def _cut(samples: Sequence[object], stretch: int) -> int:
    return len(samples) * stretch // STRETCHES
