"""Metrics of services, for parts that stand in front of their own handlers."""

from __future__ import annotations

from jobstream.observe.metrics.metric import Metric

# fmt: off
SERVICE = (
    Metric("jobs_idempotency_requests_total", "counter", "service", ("outcome",),
           "Requests with an idempotency key: `stored`, `replayed` (or found done, its answer not "
           "kept), `conflict` (409, still running), `mismatch` (422, another request), `refused`, "
           "`released` (no answer to keep), `unkept` (streamed, too large), `lease_lost` (another "
           "process took the key), `store_down` (calls of the store that failed)."),
)
# fmt: on
