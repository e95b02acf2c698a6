"""What a worker uses, looked at from outside: /proc, its metrics, and where its groups stand."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tests.bench.usage import held_mb

from jobstream.errors import BrokerRefused, BrokerUnavailable
from jobstream.observe.targets import folder_of, living

if TYPE_CHECKING:
    from tests.harness.trial import Trial

DEDUP_ROWS = re.compile(r"^jobs_dedup_rows\{[^}]*\} (\S+)$", re.MULTILINE)
TABLE_BYTES = re.compile(r"^jobs_dedup_memory_bytes(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
ASK_S = 10.0
TICKS_A_SECOND = 100
"""Of the times in /proc/PID/stat: USER_HZ, 100 on every Linux of today."""


class Sample(TypedDict):
    """One look at a worker. Megabytes are of 10**6 bytes."""

    at_s: float
    """Since the steady load began."""
    rss_mb: float
    children_mb: float
    """PSS of all child processes together."""
    threads: int
    descriptors: int
    cpu_s: float
    """Seconds on a CPU since the worker's start, its children left out."""
    dedup_rows: int | None
    """None where the worker did not answer."""
    tables_mb: float | None
    """What the dedup tables have in memory, by the worker's own count; None as above."""
    lag: int | None
    """Jobs on queues and rungs that are not finished; None while the broker does not answer."""
    objects: int | None
    """What the collector knows of, by the newest census of this worker; None before the first."""
    collections: list[int]
    uncollectable: int


class Probe:
    """Looks at one worker process. Used by one thread."""

    def __init__(self, trial: Trial, pid: int, state_dir: Path, census: Path) -> None:
        """Find out nothing yet; time counts from now."""
        self._trial, self._pid, self._census = trial, pid, census
        self._targets = folder_of(state_dir, trial.app.name)
        self._began = time.monotonic()

    def look(self) -> Sample:
        """Ask everything once. Raises OSError if the worker is gone."""
        folder = Path(f"/proc/{self._pid}")
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        counted, metrics = self._counted(), self._metrics()
        return {
            "at_s": time.monotonic() - self._began,
            "rss_mb": held_mb(self._pid)[0],
            "children_mb": sum(map(_pss, _children(folder))),
            "threads": sum(1 for _ in (folder / "task").iterdir()),
            "descriptors": sum(1 for _ in (folder / "fd").iterdir()),
            "cpu_s": (int(after_name[11]) + int(after_name[12])) / TICKS_A_SECOND,
            "dedup_rows": _summed(DEDUP_ROWS, metrics),
            "tables_mb": None if (used := _summed(TABLE_BYTES, metrics)) is None else used / 1e6,
            "lag": self._lag(),
            "objects": counted.get("objects"),
            "collections": counted.get("collections", []),
            "uncollectable": counted.get("uncollectable", 0),
        }

    def _metrics(self) -> str:
        """What the worker exposes; nothing where it did not answer."""
        for target in living(self._targets):
            if target.pid == self._pid:
                url = f"http://{target.address}/metrics"
                try:
                    with urllib.request.urlopen(url, timeout=ASK_S) as answer:
                        found: str = answer.read().decode()
                        return found
                except OSError:
                    return ""
        return ""

    def _lag(self) -> int | None:
        try:
            return sum(standing.lag for standing in self._trial.standings().values())
        except (BrokerUnavailable, BrokerRefused):
            self._trial.lag.reconnect()
            return None

    def _counted(self) -> dict[str, Any]:
        if not self._census.exists():
            return {}
        newest = self._census.read_text().rpartition("\n")[0].rpartition("\n")[2]
        found: dict[str, Any] = json.loads(newest) if newest else {}
        return found if found.get("pid") == self._pid else {}


def _summed(metric: re.Pattern[str], metrics: str) -> int | None:
    found = metric.findall(metrics)
    return round(sum(map(float, found))) if found else None


def _children(folder: Path) -> list[int]:
    found: list[int] = []
    for task in (folder / "task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:  # a thread that ended meanwhile
            continue
    return found


def _pss(pid: int) -> float:
    try:
        return held_mb(pid)[1]
    except (OSError, KeyError):  # a child that ended meanwhile
        return 0.0
