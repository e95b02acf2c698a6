"""Which groups are meant by names and patterns."""

from __future__ import annotations

from jobstream.operate.foreign import GROUPS_MAX, chosen

OWN = frozenset({"shop", "shop.delay"})


def test_a_plain_name_is_meant_even_if_there_is_no_such_group() -> None:
    assert chosen(["billing"], ["orders"], OWN) == ["billing"]


def test_a_pattern_means_the_groups_that_are_there() -> None:
    assert chosen(["bill*", "orders"], ["billing", "bills", "Bill"], OWN) == [
        "billing",
        "bills",
        "orders",
    ]


def test_the_apps_own_groups_are_not_foreign() -> None:
    assert chosen(["*", "shop"], ["shop", "shop.delay", "x"], OWN) == ["x"]


def test_there_is_a_limit() -> None:
    assert len(chosen(["*"], map(str, range(1_000)), OWN)) == GROUPS_MAX
