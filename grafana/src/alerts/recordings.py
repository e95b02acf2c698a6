"""The series that alerts share. The maximum over exporters comes first: two never double a sum."""

from __future__ import annotations

from grafana.src.alerts.alert import Recording

PLACE = "app, group, topic, partition, queue, tier"

RECORDINGS = (
    Recording("place:jobs_lag_records:max", f"max by ({PLACE}) (jobs_lag_records)"),
    Recording("place:jobs_lag_seconds:max", f"max by ({PLACE}) (jobs_lag_seconds)"),
    Recording("group:jobs_group_members:max", "max by (app, group) (jobs_group_members)"),
    Recording("queue:jobs_lag_seconds:max", "max by (app, queue) (place:jobs_lag_seconds:max)"),
    Recording(
        "queue:jobs_queue_objective_seconds:max",
        "max by (app, queue) (jobs_queue_objective_seconds)",
    ),
    # The objective is kept at every moment or broken: the budget is spent in time, not in jobs.
    Recording(
        "queue:jobs_stale:bool",
        "queue:jobs_lag_seconds:max > bool queue:jobs_queue_objective_seconds:max",
    ),
    Recording(
        "job_type:jobs_failures:rate10m",
        'sum by (app, queue, job_type) (rate(jobs_failures_total{job_type!="_canary"}[10m]))',
    ),
    # Every run that ended is a failure or ok. Settled jobs are fewer: one that is retried in place
    # is not settled before it is done or dead, however often it failed.
    Recording(
        "job_type:jobs_runs:rate10m",
        "sum by (app, queue, job_type) "
        '(rate(jobs_failures_total{job_type!="_canary"}[10m]) or '
        'rate(jobs_run_duration_seconds_count{job_type!="_canary",result="ok"}[10m]))',
    ),
)
