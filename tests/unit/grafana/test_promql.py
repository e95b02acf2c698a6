"""The lint of expressions sees each mistake it is there for."""

from __future__ import annotations

import pytest
from grafana.src.promql import complaints, filled_in


@pytest.mark.parametrize(
    ("expr", "wrong"),
    [
        ("sum by (queue) (", "does not parse"),
        ("jobs_nonsense", "not in the catalogue"),
        ("jobs_settled_total", "only ever grows"),
        ("rate(jobs_lag_seconds[1m])", "goes up and down"),
        ('jobs_lag_seconds{host="a"}', "has no label 'host'"),
        ("sum by (host) (jobs_lag_seconds)", "the label 'host'"),
        ("jobs_lag_seconds * on (host) jobs_lag_records", "the label 'host'"),
        ("jobs_run_duration_seconds", "not in the catalogue"),
        ("jobs_run_duration_seconds_count", "only ever grows"),
        ("topk(3, max by (queue) (jobs_lag_second))", "not in the catalogue"),
    ],
)
def test_mistake_is_seen(expr: str, wrong: str) -> None:
    assert [complaint for complaint in complaints(expr) if wrong in complaint]


@pytest.mark.parametrize(
    "expr",
    [
        'max by (queue) (jobs_lag_seconds{app=~"$app",tier="main"})',
        "histogram_quantile(0.95, sum by (le) (rate(jobs_run_duration_seconds_bucket[1m])))",
        "rate(jobs_log_end_offset[$__rate_interval])",
        "rate(process_cpu_seconds_total[5m])",
        "time() - jobs_last_poll_timestamp_seconds",
    ],
)
def test_good_expression_passes(expr: str) -> None:
    assert complaints(expr) == []


def test_recorded_series_may_be_used() -> None:
    assert complaints("queue:overdue > 3", recorded={"queue:overdue"}) == []
    assert complaints("queue:overdue > 3")


def test_variables_are_filled_in_whole() -> None:
    """`$queue` must not eat the start of a longer name."""
    assert filled_in('x{a="$queue"}[$__range:1m]') == 'x{a=".*"}[1h:1m]'
    assert filled_in("$queues") == "$queues"
