"""Why jobs wait though workers have slots: the rules of their types."""

from __future__ import annotations

from grafana.src.expressions import APP, RATE
from grafana.src.kinds import by, graph, grid, highest
from grafana.src.panel import GOOD, At, Board, Step

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

BREAKERS = grid(
    At(0, 0, 12, 7),
    graph("breakers", "Circuit breakers, by dependency",
          "0: closed, jobs run. 1: half-open, a few run as probes. 2: open, jobs wait and lose no "
          "attempt. The worst worker of each breaker. Worry when one does not come back to 0: what "
          "these jobs call is failing.",
          "none", highest("jobs_breaker_state", APP, "breaker"),
          steps=(GOOD, Step(2, "red")), top=2),
    graph("openings", "Openings of circuit breakers",
          "Openings a minute. own: runs failed here, or a probe did. shared: another worker "
          "found it failing. operator: by hand, see `jobstream control list`.",
          "none",
          by(
              "breaker, by",
              f"60 * sum by (breaker, by) (rate(jobs_breaker_openings_total{{{APP}}}{RATE}))",
          )),
)

WAITING = Board(
    "jobstream-waiting",
    "Jobs: why they wait",
    "Which rule keeps jobs from running?",
    (*BREAKERS,),
)
