"""Every metric of the product: name, kind, labels, meaning. Nothing else may invent one.

`docs/metrics.md` is generated from here, dashboards and rules are checked against it, and a process
exposes only what stands here.
"""

from jobstream.observe.metrics.cluster_entries import CLUSTER
from jobstream.observe.metrics.job_entries import JOBS
from jobstream.observe.metrics.metric import Metric
from jobstream.observe.metrics.process_entries import PROCESS
from jobstream.observe.metrics.service_entries import SERVICE
from jobstream.observe.metrics.sql_entries import SQL
from jobstream.observe.metrics.views_entries import VIEWS
from jobstream.observe.metrics.web_entries import WEB

CATALOGUE: tuple[Metric, ...] = (*JOBS, *PROCESS, *CLUSTER, *VIEWS, *SQL, *WEB, *SERVICE)
BY_NAME = {metric.name: metric for metric in CATALOGUE}

__all__ = ["BY_NAME", "CATALOGUE", "Metric"]
