"""Figures, and how they are shown: a table for people, JSON for programs. It measures nothing."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.bench.worker import Report

LOOP = "MainThread"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, what stands beside it and what was hoped for."""

    what: str
    value: float
    unit: str
    beside: str = ""
    """The same run's number to compare it with, in words."""
    goal: str = ""
    met: bool | None = None
    """Whether the goal is reached; None where there is no goal or it was not measured."""
    note: str = ""
    failed: bool = False
    """Whether measuring broke."""

    def row(self) -> tuple[str, ...]:
        """Its line of the table."""
        verdict = {True: "reached", False: "missed", None: ""}[self.met]
        return (
            self.what,
            f"{_short(self.value)} {self.unit}".strip(),
            self.beside,
            self.goal,
            verdict,
        )


def not_measured(what: str, reason: str) -> Figure:
    """A figure that can't be had on this machine."""
    return Figure(what, float("nan"), "", note=f"not measured: {reason}")


def failed(what: str, error: Exception) -> Figure:
    """A figure that is missing because measuring it broke."""
    reason = f"failed: {type(error).__name__}: {error}"
    return Figure(what, float("nan"), "", note=reason, failed=True)


def table(figures: Sequence[Figure]) -> str:
    """All figures, with their notes indented below them."""
    head = ("what", "measured", "beside it", "goal", "")
    rows = [head, *(figure.row() for figure in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for figure, row in zip([None, *figures], rows, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        if figure is not None and figure.note:
            lines.append(f"    {figure.note}")
    return "\n".join(lines)


def save(figures: Sequence[Figure], path: Path, load: Sequence[float]) -> None:
    """Write the figures with machine, date and command; `load` is the load average before."""
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "tests.bench", *sys.argv[1:]],
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_before": list(load),
        "load_after": list(os.getloadavg()),
        "figures": [_plain(figure) for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=2) + "\n")


def per_job(cpu: Mapping[str, float], jobs: int, shown: int = 6) -> str:
    """CPU time per job, by group of threads, in microseconds."""
    if not cpu or not jobs:
        return "CPU not measured"
    total = sum(cpu.values())
    parts = [f"{name} {s / jobs * 1e6:.1f}" for name, s in list(cpu.items())[:shown]]
    return f"CPU {total / jobs * 1e6:.1f} µs/job: {', '.join(parts)}"


def of_loop(report: Report) -> str:
    """How the thread of the event loop spent the time: what is neither is a wait for others."""
    if LOOP not in report.cpu:
        return ""
    on, wanted = (spent.get(LOOP, 0.0) / report.seconds for spent in (report.cpu, report.waited))
    return (
        f"; the loop: {on:.0%} on a core, {wanted:.0%} waiting for one, "
        f"{max(0.0, 1 - on - wanted):.0%} asleep"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed; nan for none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _short(value: float) -> str:
    if isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _plain(figure: Figure) -> dict[str, object]:
    plain = asdict(figure)
    return {**plain, "value": None} if isnan(figure.value) else plain
