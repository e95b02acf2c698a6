"""The catalogue's buckets, for the meters that count into them. Needs no metrics library."""

from __future__ import annotations

from jobstream.observe.metrics.metric import ATTEMPTS, LATE_S, RUN_S, WAIT_S
from jobstream_processors.histogram import Edges

EDGES = Edges(run=RUN_S, wait=WAIT_S, attempts=ATTEMPTS, late=LATE_S)
