"""The page about metrics is what the catalogue says, and the catalogue keeps its own rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tools.metrics_page import ROLES, page

from jobstream.observe.metrics import BY_NAME, CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

UNITS = ("seconds", "bytes", "records", "ratio", "total", "info")
# Counts of things that are their own unit.
THINGS = {
    *("jobs_attempts", "jobs_commit_gap_records", "jobs_concurrency_limit", "jobs_in_flight"),
    *("jobs_running", "jobs_stuck_handlers", "jobs_flood_guards_closed", "jobs_open_dead_letters"),
    *("jobs_partitions_assigned", "jobs_partitions_restoring", "jobs_partitions_paused"),
    *("jobs_dedup_rows", "jobs_dedup_rows_budget", "jobs_kafka_brokers_up", "jobs_group_members"),
    *("jobs_group_idle_members", "jobs_uncommitted_partitions", "jobs_partition_stalled"),
    *("jobs_control_entries", "jobs_log_start_offset", "jobs_log_end_offset"),
    *("jobs_committed_offset", "jobs_back_pressure_blind", "jobs_breaker_state"),
    *("jobs_schedules_broken", "jobs_schedules_owned", "jobs_schedules_declared"),
    *("jobs_waiting", "jobs_views_stalled", "jobs_http_waiting"),
    *("jobs_outbox_rows", "jobs_outbox_set_aside_rows", "jobs_outbox_held_topics"),
}


def test_the_page_is_made_from_the_catalogue(root: Path) -> None:
    assert (root / "docs" / "metrics.md").read_text() == page(), "run `make docs`"


def test_every_metric_has_its_row() -> None:
    assert {metric.role for metric in CATALOGUE} == set(ROLES)
    assert set(re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram)", page(), re.MULTILINE)) == (
        set(BY_NAME)
    )


def test_names_follow_the_rules() -> None:
    assert len(BY_NAME) == len(CATALOGUE), "two metrics of one name"
    for metric in CATALOGUE:
        assert re.fullmatch(r"jobs_[a-z_]+", metric.name)
        assert metric.name.endswith(UNITS) or metric.name in THINGS, metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert (metric.kind == "histogram") == bool(metric.buckets), metric.name
        assert list(metric.buckets) == sorted(metric.buckets)
        assert metric.meaning.endswith("."), metric.name
        assert "|" not in metric.meaning
