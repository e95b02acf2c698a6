"""The pieces of PromQL that several panels share. Pure text; nothing here asks Prometheus.

Each piece takes the maximum over exporters first, so that two of them never double a sum.
"""

from __future__ import annotations

APP = 'app=~"$app"'
QUEUE = f'{APP},queue=~"$queue"'
JOB = f'{QUEUE},job_type=~"$job_type",job_type!="_canary"'
BUSINESS = f'{QUEUE},job_type!="_canary"'
MAIN = f'{QUEUE},tier="main"'
LADDER = f'{QUEUE},tier!="main"'
PLACE = "group, topic, partition, queue, tier"
RATE = "[$__rate_interval]"

OVERDUE = f"max by (queue) (jobs_lag_seconds{{{QUEUE}}})"
OBJECTIVE = f"max by (queue) (jobs_queue_objective_seconds{{{QUEUE}}})"
SHARE = f"{OVERDUE} / {OBJECTIVE}"
WAITING = f"sum by (queue) (max by ({PLACE}) (jobs_lag_records{{{MAIN}}}))"
ARRIVALS = f"sum by (queue) (max by ({PLACE}) (rate(jobs_log_end_offset{{{MAIN}}}{RATE})))"
DRAIN = f"sum by (queue) (max by ({PLACE}) (rate(jobs_committed_offset{{{MAIN}}}{RATE})))"
DRAINS_IN = f"({WAITING} == 0) or {WAITING} / (({DRAIN} - {ARRIVALS}) > 0)"
MEMBERS = f"max by (group) (jobs_group_members{{{APP}}})"
IDLE = f"max by (group) (jobs_group_idle_members{{{APP}}})"
OPEN_LETTERS = f"max by (queue, job_type, reason) (jobs_open_dead_letters{{{BUSINESS}}})"


def rate(metric: str, selector: str, by: str) -> str:
    """Events a second of a counter, summed over processes."""
    return f"sum by ({by}) (rate({metric}{{{selector}}}{RATE}))"


def quantile(share: float, metric: str, selector: str, by: str = "") -> str:
    """The quantile of a histogram over the rate interval, one series per `by`."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', selector, labels)})"


def failing(by: str, selector: str) -> str:
    """Share of the runs that failed. Not of what was settled: retries in place settle nothing."""
    failed = f"rate(jobs_failures_total{{{selector}}}{RATE})"
    fine = f'rate(jobs_run_duration_seconds_count{{{selector},result="ok"}}{RATE})'
    return f"sum by ({by}) ({failed}) / (sum by ({by}) ({failed} or {fine}) > 0)"
