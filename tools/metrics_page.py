"""The page about metrics, made from the catalogue: `python -m tools.metrics_page`.

It prints Markdown; `make docs` writes it to its place.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jobstream.observe.metrics import CATALOGUE

if TYPE_CHECKING:
    from jobstream.observe.metrics import Metric

ROLES = {
    "producer": "Whatever enqueues: services through `app.metrics()`, workers by themselves.",
    "worker": "`jobstream worker`.",
    "delayer": "`jobstream worker`, or `--only delayer`.",
    "views": "`jobstream views`: it folds topics into the database of the read side.",
    "relay": "`jobstream relay`: it publishes the outbox of a service's database.",
    "exporter": "`jobstream exporter`: it looks at the cluster from outside.",
    "canary": "`jobstream canary`.",
    "scheduler": "`jobstream worker`, or `--only scheduler`.",
    "web": "`jobstream web`.",
    "service": "Services, through `metrics()` of the part that they use.",
    "every role": "Every process that has the part they tell of.",
}
HEAD = """\
# Metrics

Made from `streams/jobstream/observe/metrics/` by `make docs`; change it there. A process exposes
only what stands here, and beside it `process_*`: memory, CPU, open files.
[Where to scrape](how-to/observe.md).

Units are base units and end the name. Label values never come from a job: `job_type` is a
registered type or `_unknown`, `error` a class of ours or `other`, and `reason`, `kind`, `outcome`
are words of ours. Series of registered types are there from the start, at 0; only failures by
class and dead letters by reason appear when there is one. A worker is one process: sum over
processes for rates, take the maximum of what is a state.

Histograms are folded twenty times a second, so a scrape may be 50 ms late, and never torn. Runs of
handlers that end without ever waiting are timed one after the other, and hold some microseconds of
the worker's own work. Queue wait and end to end are by the brokers' clocks alone.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for role, what in ROLES.items():
        found = [metric for metric in CATALOGUE if metric.role == role]
        parts.append(f"## {role.capitalize()}\n\n{what}\n")
        parts.append("| metric | kind | labels | meaning |\n|---|---|---|---|")
        parts.append("\n".join(map(_row, found)) + "\n")
    parts.append(_edges())
    return "\n".join(parts)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"


def _edges() -> str:
    """The upper edges of every histogram."""
    rows = [
        f"| `{metric.name}` | {' '.join(f'{edge:g}' for edge in metric.buckets)} |"
        for metric in CATALOGUE
        if metric.buckets
    ]
    return "\n".join(["## Buckets", "", "| histogram | upper edges |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
