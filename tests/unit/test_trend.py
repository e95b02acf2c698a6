from __future__ import annotations

import random

import pytest
from tests.bench.trend import STRETCHES, trend

HOUR_S = 3_600.0


def samples(slope: float, noise: float, count: int = 300) -> list[tuple[float, float]]:
    chance = random.Random(7)
    spread = [chance.gauss(0.0, noise) for _ in range(count)]
    return [(10.0 * n, 100.0 + slope * 10.0 * n / HOUR_S + spread[n]) for n in range(count)]


def test_growth_without_noise_is_told_exactly() -> None:
    found = trend(samples(6.0, 0.0))
    assert found.slope == pytest.approx(6.0)
    assert found.within == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("slope", [0.0, 3.0, -4.0])
def test_the_interval_holds_the_slope_that_the_noise_hides(slope: float) -> None:
    found = trend(samples(slope, 2.0))
    assert found.slope - found.within < slope < found.at_most
    assert 0.5 < found.within < 3.0


def test_noise_that_hangs_together_widens_the_interval() -> None:
    # Memory stays where it is for minutes: thirty such samples in a row tell as much as one.
    chance, level, at, hanging = random.Random(7), 0.0, 0.0, []
    for n in range(300):
        level = chance.gauss(0.0, 2.0) if n % 30 == 0 else level
        at = 10.0 * n
        hanging.append((at, 100.0 + level))
    assert trend(hanging).within > 2 * trend(samples(0.0, 2.0)).within


def test_too_few_samples_tell_no_trend() -> None:
    with pytest.raises(ValueError, match="24 are needed"):
        trend(samples(0.0, 1.0, 2 * STRETCHES - 1))
