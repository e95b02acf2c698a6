"""What an alert is, before it is a rule of Grafana or of Prometheus: plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from grafana.src.boards import BOARDS

PER_QUEUE = ("app", "queue")
PER_GROUP = ("app", "group")


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes at every evaluation, named `level:metric:operation`."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. It fires for each series of its expression, and is named by the labels `by`."""

    name: str
    severity: Literal["page", "ticket"]
    """page: somebody gets up. ticket: somebody looks in working hours."""
    query: str
    summary: str
    description: str
    """Holds the value as `{{ $value }}`, and the series' labels."""
    board: str
    """The dashboard to open."""
    panel: str
    """The key of the panel there that shows it."""
    above: float | None = None
    """Where `query` gives a number in sickness and in health: it is wrong above this. None: `query`
    filters by itself, and gives nothing in health."""
    lasts: str = "0s"
    """How long it must be so. "0s": at once."""
    by: tuple[str, ...] = PER_QUEUE
    watch: bool = False
    """Evaluated by Prometheus whether or not Grafana is there: it tells of what watches."""

    @property
    def expr(self) -> str:
        """The whole expression: a series means that the alert is on."""
        return self.query if self.above is None else f"{self.query} > {self.above:g}"

    @property
    def runbook(self) -> str:
        """The page to open, in this repository."""
        return f"docs/runbooks/{self.name}.md"

    @property
    def dashboard(self) -> str:
        """The dashboard's path in Grafana, with the variables that the alert's labels fill."""
        shown = [label for label in self.by if label in {"app", "queue", "job_type"}]
        values = "&".join(f"var-{label}={{{{ $labels.{label} }}}}" for label in shown)
        return f"/d/{self.board}" + (f"?{values}" if values else "")

    @property
    def panel_number(self) -> int:
        """The id of the panel on its dashboard."""
        board = next(board for board in BOARDS if board.uid == self.board)
        return [panel.key for panel in board.panels].index(self.panel) + 1
