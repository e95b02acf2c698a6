"""Every metric of the product: name, kind, labels, meaning. Nothing else may invent one.

`docs/metrics.md` is generated from here, dashboards and rules are checked against it, and a process
exposes only what stands here. It counts nothing itself.
"""

from jobstream.observe.catalogue.cluster import CLUSTER
from jobstream.observe.catalogue.jobs import JOBS
from jobstream.observe.catalogue.metric import Metric
from jobstream.observe.catalogue.process import PROCESS

CATALOGUE: tuple[Metric, ...] = (*JOBS, *PROCESS, *CLUSTER)
BY_NAME = {metric.name: metric for metric in CATALOGUE}

__all__ = ["BY_NAME", "CATALOGUE", "Metric"]
