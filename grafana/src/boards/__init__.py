"""The five dashboards."""

from grafana.src.boards.jobs import JOBS
from grafana.src.boards.lag import LAG
from grafana.src.boards.overview import OVERVIEW
from grafana.src.boards.waiting import WAITING
from grafana.src.boards.workers import WORKERS

BOARDS = (OVERVIEW, LAG, JOBS, WORKERS, WAITING)

__all__ = ["BOARDS"]
