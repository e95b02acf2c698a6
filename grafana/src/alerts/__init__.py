"""The alerts as code: what each one asks, whom it calls, what it says; and who evaluates it.

`python -m grafana.src.alerts` renders them for Grafana and for Prometheus. Nothing here evaluates
or sends an alert.
"""

from grafana.src.alerts.late import LATE
from grafana.src.alerts.wrong import WRONG

ALERTS = (*LATE, *WRONG)

__all__ = ["ALERTS"]
