"""The role `views`: keeps an app's tables up with its topics until it is asked to leave.

It runs the Faust app on an event loop of its own thread, and upkeep beside it. Where the app gets
topics, or loses some, the Faust app is started anew: the database knows where each partition goes
on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from jobstream.observe.health import Check, Probes
from jobstream.views.consuming import RunThread
from jobstream.views.faust_app import ViewsApp
from jobstream.views.projection import Projection
from jobstream.views.upkeep import Upkeep
from jobstream.views.views_metrics import ViewsMetrics
from jobstream_processors.background import aside, in_background, log_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Engine

    from jobstream.operate.view import AppView
    from jobstream.views.views_retention import Keep

log = logging.getLogger("jobstream.views")

STOP_S = 10.0
"""What Faust's own stop may take, and then a look that is under way; storing needs none of it."""
AGAIN_S = 2.0
STUCK_S = 120.0
BEHIND_S = 60.0
"""Further behind, it is not ready."""


class ViewsRole:
    """One instance. `run` belongs to one thread; `close` and the probes to any."""

    def __init__(self, view: AppView, engine: Engine, keep: Keep) -> None:
        self.projection = Projection(view, engine)
        self.upkeep = Upkeep(self.projection, keep, self._again)
        self._view = view
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._closing = threading.Event()
        self._trouble = "it has not begun"
        self._failure: BaseException | None = None

    def run(self, ready: Callable[[], object] | None = None) -> None:
        """Fold until closed; call `ready` whenever the agents have started.

        A Faust app that fails is started anew after two seconds.
        """
        _quiet_faust()
        looking = in_background("jobstream-views-upkeep", self.upkeep.run, log_end("views_upkeep"))
        while not self._closing.is_set():
            try:
                asyncio.run(self._serve(ready))
            except Exception as error:
                if self._closing.is_set():
                    break
                self._trouble = f"{type(error).__name__}: {error}"
                log.exception("views_failed")
                self._closing.wait(AGAIN_S)
        self.upkeep.close()
        looking.join(STOP_S)  # It asks the database, which the caller may close now.

    def close(self) -> None:
        """Let `run` return: what is stored is stored, what is not is read again by the next."""
        self._closing.set()
        self.projection.stopping = True
        self._again()

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        self._again()

    def _again(self) -> None:
        loop, ended = self._loop, self._ended
        if loop is not None and ended is not None and not loop.is_closed():
            loop.call_soon_threadsafe(ended.set)

    async def _serve(self, ready: Callable[[], object] | None) -> None:
        self.projection.built = None  # before `_ended`, which upkeep sets at another mark
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        reads = await aside("jobstream-views-topics", self.projection.topics_now)
        self.upkeep.reads = reads
        # Of the app before: this one has another client, and nothing is assigned to it yet.
        self.projection.has_begun()
        self._failure = None
        settings, name = self._view.settings, self._view.app
        app = ViewsApp(settings, name, reads.by_kind, self.projection, self._failed)
        if self._closing.is_set():
            return
        # It starts for as long as the first assignment waits for the database, and may fail in it.
        starting = asyncio.ensure_future(app.start())
        left = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((starting, left), return_when=asyncio.FIRST_COMPLETED)
            if not left.done():
                await starting
                self._trouble = ""
                if ready is not None:
                    ready()
                crashed = asyncio.ensure_future(app.wait_until_stopped())
                await asyncio.wait((crashed, left), return_when=asyncio.FIRST_COMPLETED)
                crashed.cancel()
            if (failure := self._failure or app.crash_reason) is not None:
                raise failure
        finally:
            starting.cancel()
            left.cancel()
            try:
                await asyncio.wait_for(app.stop(), STOP_S)
            except TimeoutError:
                log.warning("views_stop_cut_short", extra={"seconds": STOP_S})

    @property
    def metrics(self) -> ViewsMetrics:
        """For the endpoint."""
        return ViewsMetrics(self.projection, self.upkeep)

    @property
    def probes(self) -> Probes:
        """Live while its looks end, started once the agents have, ready while little behind."""
        return Probes(
            live=self._live, ready=self._ready, started=self._started, status=self._status
        )

    def _live(self) -> Sequence[Check]:
        # While the database or the brokers are away looks fail, and go on: no reason to be killed.
        silent_s = time.monotonic() - self.upkeep.came_mono
        return [
            Check("looking", ok=silent_s < STUCK_S, why=f"no look has ended for {silent_s:.0f} s")
        ]

    def _ready(self) -> Sequence[Check]:
        trouble = self.projection.trouble or self._trouble
        behind_s = self.upkeep.behind_s
        return [
            Check("storing", ok=not trouble, why=trouble),
            Check("fresh", ok=behind_s < BEHIND_S, why=f"it is {behind_s:.0f} s behind"),
        ]

    def _started(self) -> Sequence[Check]:
        return [Check("agents", ok=not self._trouble, why=self._trouble)]

    def _status(self) -> Mapping[str, object]:
        projection = self.projection
        return {
            "records_folded": projection.folded,
            "batches": projection.batches,
            "write_s": round(projection.write_s, 3),
            "behind_records": self.upkeep.behind_records,
            "behind_s": round(self.upkeep.behind_s, 3),
            "trouble": projection.trouble or self._trouble or None,
            "pid": os.getpid(),
        }


def _quiet_faust() -> None:
    """Only what is wrong: what it does with groups and partitions is told by our own log."""
    for name in ("faust", "mode", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Faust's services log by the module of their class; without its sensors it warns of them.
    for kind in (ViewsApp, RunThread):
        logging.getLogger(kind.__module__).setLevel(logging.ERROR)
