"""What is in force at a moment: by kind, until it expires, for whom."""

from __future__ import annotations

import pytest

from jobstream_processors.core.orders import (
    BREAKER_OPENED,
    CANCEL,
    DRAIN,
    HOLD_BREAKER,
    KINDS,
    LASTS_MS,
    LASTS_MS_MAX,
    NOTHING,
    OPEN,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    QUIET,
    Order,
    check,
    counts,
    in_force,
    is_meant,
    names_workers,
)
from jobstream_processors.errors import InvalidOption


def entry(kind: str, subject: str, expires_ms: int = 2_000) -> Order:
    return Order(kind, subject, "ann@laptop", "deploy", 1_000, expires_ms)


def test_each_kind_is_found_by_what_it_is_about() -> None:
    said = [entry(PAUSE_QUEUE, "mail"), entry(PAUSE_TYPE, "send"), entry(CANCEL, "id"),
            entry(QUIET, "host:*"), entry(HOLD_BREAKER, "smtp"),
            entry(BREAKER_OPENED, "smtp"), entry(DRAIN, "host:7")]  # fmt: skip

    now = in_force(said, 1_500)

    assert now
    assert now.queues == {"mail": said[0]}
    assert now.types == {"send": said[1]}
    assert now.cancels == {"id": said[2]}
    assert now.quiets_worker("host:7") == said[3]
    assert now.quiets_worker("other:7") is None
    assert now.breakers == {"smtp": said[4]}
    assert now.openings == {"smtp": said[5]}
    assert now.drains == (said[6],)


def test_an_entry_ends_at_its_expiry_to_the_millisecond() -> None:
    said = [entry(kind, "x", 2_000) for kind in KINDS]

    assert counts(said, 1_999) == dict.fromkeys(KINDS, 1)
    assert counts(said, 2_000) == dict.fromkeys(KINDS, 0)
    assert in_force(said, 1_999)
    assert not in_force(said, 2_000)
    assert in_force(said, 2_000) == NOTHING


def test_a_kind_of_a_later_version_holds_nothing() -> None:
    assert not in_force([entry("rate", "mail")], 1_500)
    assert counts([entry("rate", "mail")], 1_500) == dict.fromkeys(KINDS, 0)


@pytest.mark.parametrize(
    ("subject", "worker", "meant"),
    [
        ("host:12", "host:12", True),
        ("host:12", "host:123", False),
        ("host:12*", "host:123", True),
        ("*", "any:1", True),
        ("ho*t:1", "host:1", False),
    ],
)
def test_workers_are_meant_by_name_or_prefix(subject: str, worker: str, *, meant: bool) -> None:
    assert is_meant(subject, worker) is meant


def test_what_an_entry_may_say_is_bounded() -> None:
    check(CANCEL, "x" * 300, "w" * 500, "", LASTS_MS_MAX)
    for wrong in (
        ("rate", "x", "w", "", 1_000),
        (CANCEL, "", "w", "", 1_000),
        (CANCEL, "x" * 301, "w", "", 1_000),
        (CANCEL, "x", "w" * 501, "", 1_000),
        (CANCEL, "x", "w", "y" * 501, 1_000),
        (CANCEL, "x", "w", "", 999),
        (CANCEL, "x", "w", "", LASTS_MS_MAX + 1),
    ):
        with pytest.raises(InvalidOption):
            check(*wrong)


def test_a_drain_of_every_worker_there_is_may_not_be() -> None:
    for sound in ("host:7", "host:*", "h*"):
        check(DRAIN, sound, "w", "", LASTS_MS[DRAIN])
    for wrong in ("*", "**"):
        with pytest.raises(InvalidOption, match="it would stop all work at once"):
            check(DRAIN, wrong, "w", "", LASTS_MS[DRAIN])
    check(QUIET, "*", "w", "", 1_000)


def test_a_breaker_is_held_open_or_closed_and_nothing_else() -> None:
    check(HOLD_BREAKER, "smtp", "w", "", 1_000, {OPEN: 1})
    check(HOLD_BREAKER, "smtp", "w", "", 1_000, {OPEN: 0})
    for limits in ({}, {OPEN: 2}, {"rate": 1}):
        with pytest.raises(InvalidOption, match="give open as 1, or as 0 for closed"):
            check(HOLD_BREAKER, "smtp", "w", "", 1_000, limits)


def test_every_kind_lasts_for_a_while_unless_it_says_otherwise() -> None:
    assert LASTS_MS.keys() == set(KINDS)
    assert all(0 < lasts < LASTS_MS_MAX for lasts in LASTS_MS.values())


@pytest.mark.parametrize(
    ("subject", "can_be"),
    [
        ("host:7", True),
        ("host:*", True),
        ("host*", True),
        ("*", True),
        ("host", False),
        ("", False),
    ],
)
def test_a_worker_is_named_with_its_pid_or_by_a_beginning(subject: str, *, can_be: bool) -> None:
    assert names_workers(subject) is can_be
