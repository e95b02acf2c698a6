"""The lag exporter: looks at the cluster at an interval, and keeps the last look for scrapes.

It joins no group and needs no worker. A look that fails leaves the values as they are and is
counted; how old they are is a metric of its own. A scrape asks the cluster nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from prometheus_client.metrics_core import Metric

from jobstream.observe.cluster_families import families
from jobstream.observe.cluster_history import STALLED_S, ClusterHistory
from jobstream.observe.families import counter, gauge
from jobstream.observe.health import Check, Probes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jobstream.operate.sight import Sight

log = logging.getLogger("jobstream.exporter")

OBJECTIVE_S = 300.0
STALE_S_MIN = 60.0
"""Values older than that, or than four intervals, are not shown as ready."""
STALE_INTERVALS = 4
STUCK_S = 600.0
"""A scan that takes longer will not end: each question has a limit far below."""


class Looks(Protocol):
    """The scans of an `Onlooker`, as the exporter uses them."""

    def look(self) -> Sight:
        """Scan the cluster; may block, may raise."""
        ...

    def reconnect(self) -> None:
        """Connect anew after a failed scan."""
        ...


@dataclass(frozen=True, slots=True)
class _State:
    """The values for scrapes and probes; the scanning thread replaces them as a whole."""

    shown: tuple[Metric, ...] = ()
    failures: int = 0
    duration_s: float = 0.0
    success_at: float | None = None
    """Epoch seconds of the scan that is shown."""
    success_mono: float | None = None
    beat_mono: float = 0.0
    looks: int = 0
    trouble: str = "no scan has finished yet"


class Exporter:
    """One thread looks (`run`); scrapes and probes may come from any."""

    def __init__(
        self,
        onlooker: Looks,
        *,
        interval_s: float,
        objectives_s: Mapping[str, float],
        stalled_s: float = STALLED_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`objectives_s` holds the queues whose objective is not the default of five minutes.

        After `stalled_s` without progress a partition with overdue jobs is called stalled.
        """
        self._onlooker = onlooker
        self._interval_s = interval_s
        self._objectives_s = objectives_s
        self._monotonic = monotonic
        self._history = ClusterHistory(stalled_s)
        self._state = _State(beat_mono=monotonic())
        self._closing = threading.Event()

    def run(self, ready: Callable[[], object] | None = None) -> None:
        """Look until closed, a look at the start of each interval; call `ready` after good ones."""
        while not self._closing.is_set():
            began = self._monotonic()
            self.look()
            if ready is not None and not self._state.trouble:
                ready()
            self._closing.wait(max(0.0, self._interval_s - (self._monotonic() - began)))

    def close(self) -> None:
        """Let `run` return, at the latest after the look it is in. From any thread."""
        self._closing.set()

    def look(self) -> None:
        """Scan once. A failure is counted and logged, and the next scan tries again."""
        last, began = self._state, self._monotonic()
        try:
            sight = self._onlooker.look()
            self._history.take(sight)
            objectives = {q: self._objectives_s.get(q, OBJECTIVE_S) for q in sight.queues}
            shown = tuple(families(sight, self._history, objectives))
        except Exception as error:  # noqa: BLE001 - whatever it is, the last values stay
            self._failed(last, began, error)
            return
        now = self._monotonic()
        lost = sorted(self._objectives_s.keys() - set(sight.queues))
        if lost and last.success_at is None:  # A slip of the pen would leave a queue without it.
            there = {"queues": lost, "there_are": sorted(sight.queues)}
            log.warning("objective_of_no_queue", extra=there)
        if last.trouble and last.looks:
            log.info("look_succeeded_again", extra={"failures": last.failures})
        self._state = _State(
            shown=shown,
            failures=last.failures,
            duration_s=now - began,
            success_at=time.time(),
            success_mono=now,
            beat_mono=now,
            looks=last.looks + 1,
            trouble="",
        )

    def _failed(self, last: _State, began: float, error: Exception) -> None:
        trouble, now = f"{type(error).__name__}: {error}", self._monotonic()
        if trouble != last.trouble:
            log.warning("look_failed", extra={"reason": trouble})
        self._onlooker.reconnect()
        self._state = replace(
            last,
            failures=last.failures + 1,
            duration_s=now - began,
            beat_mono=now,
            looks=last.looks + 1,
            trouble=trouble,
        )

    # -- what others ask

    def collect(self) -> Iterable[Metric]:
        """The families of the last look that succeeded, and how the looking goes."""
        state = self._state
        yield from state.shown
        yield gauge("jobs_collect_duration_seconds", [((), state.duration_s)])
        yield counter("jobs_collect_failures_total", [((), state.failures)])
        if state.success_at is not None:
            yield gauge("jobs_collect_last_success_timestamp_seconds", [((), state.success_at)])

    @property
    def probes(self) -> Probes:
        """Live while looks end, started after the first, ready while the values are fresh."""
        return Probes(
            live=self._live, ready=self._ready, started=self._started, status=self._status
        )

    def _live(self) -> Sequence[Check]:
        silent_s = self._monotonic() - self._state.beat_mono
        ok = silent_s < STUCK_S + self._interval_s
        return [Check("looking", ok=ok, why=f"no scan has finished for {silent_s:.0f} s")]

    def _ready(self) -> Sequence[Check]:
        state = self._state
        if state.success_mono is None:
            return [Check("fresh", ok=False, why=state.trouble)]
        age_s = self._monotonic() - state.success_mono
        ok = age_s < max(STALE_S_MIN, STALE_INTERVALS * self._interval_s)
        why = (
            f"the last good scan is {age_s:.0f} s old; {state.trouble or 'the next one is running'}"
        )
        return [Check("fresh", ok=ok, why=why)]

    def _started(self) -> Sequence[Check]:
        return [Check("first_look", ok=self._state.looks > 0, why="no scan has finished yet")]

    def _status(self) -> Mapping[str, object]:
        state = self._state
        return {
            "looks": state.looks,
            "failures": state.failures,
            "last_look_s": round(state.duration_s, 3),
            "last_success": state.success_at,
            "trouble": state.trouble or None,
        }
