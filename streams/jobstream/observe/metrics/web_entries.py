"""Metrics of the HTTP side."""

from __future__ import annotations

from jobstream.observe.metrics.metric import Metric

ANSWER_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 60.0)

# fmt: off
WEB = (
    Metric("jobs_http_requests_total", "counter", "web", ("route", "status"),
           "Requests answered, by route and status; the route `none` is for paths that are none."),
    Metric("jobs_http_request_duration_seconds", "histogram", "web", ("route",),
           "From a request to the end of its answer. Requests that wait for the end of a job, and "
           "streams of changes, are left out.", ANSWER_S),
    Metric("jobs_http_waiting", "gauge", "web", ("what",),
           "Requests that go on by intent: `job` waits for the end of a job, `stream` tells "
           "changes."),
    Metric("jobs_http_source_age_seconds", "gauge", "web", (),
           "Age of the last look at the log that answers are made of; it grows while no broker "
           "answers, and while no request asks."),
)
# fmt: on
