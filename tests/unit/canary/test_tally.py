"""What a canary exports, read as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from jobstream.canary.probing import Probed
from jobstream.canary.tally import ProbeTally

TRIP = "jobs_canary_round_trip_seconds"
MAIL = {"queue": "mail"}


def registry(tally: ProbeTally) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(tally)
    return made


def failures(of: CollectorRegistry, reason: str) -> float | None:
    return of.get_sample_value("jobs_canary_failures_total", {**MAIL, "reason": reason})


def test_series_begin_at_zero_and_the_last_success_at_the_start() -> None:
    seen = registry(ProbeTally(["mail"], now=1_000.0))

    assert seen.get_sample_value("jobs_canary_sent_total", MAIL) == 0
    assert failures(seen, "enqueue") == 0
    assert failures(seen, "timeout") == 0
    assert seen.get_sample_value(f"{TRIP}_count", MAIL) == 0
    assert seen.get_sample_value("jobs_canary_last_success_timestamp_seconds", MAIL) == 1_000


def test_success_moves_the_time_and_fills_the_bucket_of_its_edge() -> None:
    tally = ProbeTally(["mail"], now=1_000.0)

    tally.take(Probed("mail", 0, "a", 0.01), now=1_010.0)
    tally.take(Probed("mail", 1, "b", 100_000.0), now=1_020.0)

    seen = registry(tally)
    assert seen.get_sample_value(f"{TRIP}_bucket", {**MAIL, "le": "0.005"}) == 0
    assert seen.get_sample_value(f"{TRIP}_bucket", {**MAIL, "le": "0.01"}) == 1
    assert seen.get_sample_value(f"{TRIP}_bucket", {**MAIL, "le": "86400.0"}) == 1
    assert seen.get_sample_value(f"{TRIP}_bucket", {**MAIL, "le": "+Inf"}) == 2
    assert seen.get_sample_value(f"{TRIP}_sum", MAIL) == 100_000.01
    assert seen.get_sample_value("jobs_canary_sent_total", MAIL) == 2
    assert tally.last_success() == {"mail": 1_020.0}


def test_failures_are_told_apart_and_the_last_success_stands() -> None:
    tally = ProbeTally(["mail", "reports"], now=1_000.0)

    for reason in ("enqueue", "timeout", "timeout", "expired"):
        tally.take(Probed("mail", 0, "a", 1.0, reason), now=2_000.0)

    seen = registry(tally)
    assert failures(seen, "enqueue") == 1
    assert failures(seen, "timeout") == 2
    assert failures(seen, "expired") == 1
    assert seen.get_sample_value("jobs_canary_sent_total", MAIL) == 3, "one was never sent"
    assert seen.get_sample_value(f"{TRIP}_count", MAIL) == 0
    assert tally.last_success() == {"mail": 1_000.0, "reports": 1_000.0}
