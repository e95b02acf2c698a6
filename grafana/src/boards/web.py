"""The HTTP API and the pages: whether callers are answered, and how fast."""

from __future__ import annotations

from grafana.src.expressions import APP, RATE
from grafana.src.kinds import by, graph, grid, percentiles, rates, totals
from grafana.src.panel import GOOD, At, Board, Step

# Set by hand. A panel: its key and title, what it means, then what it asks.
# fmt: off

UNSERVED = "an app without `jobstream web` answers nobody"
ERRORS = 'status=~"5.."'

ANSWERS = grid(
    At(0, 0, 12, 7),
    graph("http-errors", "Answers that are errors of the server, by route",
          "Share of the answers of each route that were 5xx. Worry above 5 %: who enqueues or acts "
          "through it is refused. Workers do not depend on it.",
          "percentunit",
          by(
              "route",
              f"sum by (route) (rate(jobs_http_requests_total{{{APP},{ERRORS}}}{RATE})) / "
              f"(sum by (route) (rate(jobs_http_requests_total{{{APP}}}{RATE})) > 0)",
          ),
          steps=(GOOD, Step(0.05, "red")), top=1, may_be_empty=UNSERVED),
    graph("http-answers", "Answers, by status",
          "Answers a second. 4xx are mistakes of callers, 429 is a token above its rate, 503 means "
          "that no broker answers.",
          "suffix:/s", rates("jobs_http_requests_total", APP, "status"), stacked=True,
          may_be_empty=UNSERVED),
    graph("http-duration", "Time to an answer, 95 %, by route",
          "From a request to the end of its answer. Requests that wait for a job, and streams, are "
          "left out.",
          "s", percentiles(0.95, "jobs_http_request_duration_seconds", APP, "route"),
          may_be_empty=UNSERVED),
    graph("http-waiting", "Requests that wait by intent",
          "job: a caller waits for the end of its job. stream: a page or a caller is told of "
          "changes. Both are bounded.",
          "none", totals("jobs_http_waiting", APP, "what"), may_be_empty=UNSERVED),
)

WEB = Board("jobstream-web", "Jobs: HTTP API and pages", "Are callers answered?", (*ANSWERS,))
