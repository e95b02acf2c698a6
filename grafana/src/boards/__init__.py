"""The eight dashboards."""

from grafana.src.boards.jobs import JOBS
from grafana.src.boards.lag import LAG
from grafana.src.boards.outbox import OUTBOX
from grafana.src.boards.overview import OVERVIEW
from grafana.src.boards.schedules import SCHEDULES
from grafana.src.boards.waiting import WAITING
from grafana.src.boards.web import WEB
from grafana.src.boards.workers import WORKERS

BOARDS = (OVERVIEW, LAG, JOBS, WORKERS, WAITING, SCHEDULES, OUTBOX, WEB)

__all__ = ["BOARDS"]
