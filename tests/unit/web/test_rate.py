"""How many requests a caller may make: so many a second, also while it asks for more."""

from __future__ import annotations

import pytest

from jobstream.web.rate import RequestRate


@pytest.mark.parametrize("asked_per_s", [5, 10, 20, 1_000])
def test_a_caller_has_its_rate_however_much_more_it_asks_for(asked_per_s: int) -> None:
    now_s = [100.0]
    rate = RequestRate(10, 10, lambda: now_s[0])
    passed = 0
    for _ in range(10 * asked_per_s):
        now_s[0] += 1 / asked_per_s
        passed += rate.wait_s("grafana") == 0

    assert passed == pytest.approx(min(10 * asked_per_s, 10 + 10 * 10), abs=2)


def test_one_that_waits_as_long_as_it_is_told_goes_on() -> None:
    now_s = [100.0]
    rate = RequestRate(10, 1, lambda: now_s[0])
    assert rate.wait_s("grafana") == 0
    now_s[0] += 0.04
    wait_s = rate.wait_s("grafana")
    assert wait_s == pytest.approx(0.06)

    now_s[0] += wait_s + 1e-9

    assert rate.wait_s("grafana") == 0
