"""The database of `jobstream views`, asked where it is there, answers soon and is fresh.

Otherwise the caller reads the log: `NotFromViews` says why, and never reaches a client.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jobstream.answers.as_of import as_of
from jobstream.answers.errors import NotFromViews
from jobstream.errors import JobstreamError
from jobstream_processors.background import in_background

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.answers.as_of import AsOf
    from jobstream.settings import Settings
    from jobstream.views.view_answers import Freshness
    from jobstream.views.views_reader import Views

log = logging.getLogger("jobstream.answers")

T = TypeVar("T")

FRESH_S = 30.0
"""Answers that are further behind come from the log."""
STATEMENT_S = 1.5
WAIT_S = 3.0
"""How long one question waits in all, whatever the database does."""
REST_S = 15.0
"""A database that did not answer is left alone for so long."""
AT_ONCE = 8
"""Questions at once; one that hangs keeps its place until it ends."""
NEEDS = "the database needs more packages: pip install 'jobstream[views]'"


@dataclass(frozen=True, slots=True)
class ViewsState:
    """How the database stands."""

    ok: bool
    """It answers, is fresh and lacks nothing that is known."""
    said: str
    behind_s: float | None
    """None where it does not answer."""
    behind_records: int | None
    incomplete: tuple[str, ...]


class ReadSide:
    """Safe in any thread. Connects at the first question, and anew after it was away."""

    def __init__(
        self, app: str, settings: Settings, database: str | None, *, fresh_s: float = FRESH_S
    ) -> None:
        """`database` is a URL; without one, the file that `jobstream views` keeps, once it is."""
        self._app, self._settings, self._database = app, settings, database
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._views: Views | None = None
        self._rests_until_s = 0.0
        self._why = ""

    def require(self) -> None:
        """Raise DatabaseRefused for a URL that can't be right; health tells a missing extra."""
        if self._database is None:
            return
        try:
            from jobstream.views.database import parsed_url  # noqa: PLC0415 - needs the extra
        except ModuleNotFoundError:
            return
        parsed_url(self._database)

    def ask(self, question: Callable[[Views], T], *, any_age: bool = False) -> tuple[T, AsOf]:
        """What the question returns, and by when it is true; blocks for 3 s at most.

        Raises NotFromViews where there is no database, it does not answer in that time or is of
        another version, and, unless `any_age`, where it is more than 30 s behind.
        """
        found, now = self._asked(question, any_age=any_age)
        return found, as_of("views", now.behind_s, time.time())

    def state(self) -> ViewsState | None:
        """How it stands; None where there is none and none was named. Blocks for 3 s at most."""
        try:
            _, now = self._asked(lambda _: None, any_age=True)
        except NotFromViews as error:
            if not error.expected:
                return None
            return ViewsState(
                ok=False, said=str(error), behind_s=None, behind_records=None, incomplete=()
            )
        late = now.late(self._fresh_s)
        said = late or f"{now.behind_s:.1f} s and {now.behind_records:,} records behind"
        lacks = f"; it may lack: {'; '.join(now.incomplete)}" if now.incomplete else ""
        is_well = not late and not now.incomplete
        return ViewsState(
            is_well, said + lacks, round(now.behind_s, 3), now.behind_records, now.incomplete
        )

    def why_not(self) -> str:
        """Why there is nothing to ask, for health: it needs the extra, or was never made."""
        try:
            self._opened()
        except NotFromViews as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Give back the connections."""
        with self._lock:
            views, self._views = self._views, None
        if views is not None:
            views.close()

    def _asked(self, question: Callable[[Views], T], *, any_age: bool) -> tuple[T, Freshness]:
        views = self._opened()

        def work() -> tuple[T, Freshness]:
            # Another version may have migrated the tables since the last question.
            views.check()
            now = views.freshness()
            if not any_age and (late := now.late(self._fresh_s)):
                raise NotFromViews(late, expected=True)
            return question(views), now

        return self._in_time(work)

    def _opened(self) -> Views:
        try:
            from jobstream.views.database import default_url, parsed_url  # noqa: PLC0415 - extra
            from jobstream.views.views_reader import Views  # noqa: PLC0415 - as above
        except ModuleNotFoundError as error:
            raise NotFromViews(NEEDS, expected=self._database is not None) from error
        named = self._database is not None
        url = self._database or default_url(self._settings.state_dir, self._app)
        with self._lock:
            if time.monotonic() < self._rests_until_s:
                raise NotFromViews(self._why, expected=True)
            try:
                made = parsed_url(url)
                # To connect would make an empty file, and a deleted one would still be read.
                if made.get_backend_name() == "sqlite" and not Path(made.database or "").exists():
                    if self._views is not None:
                        self._views.close()
                        self._views = None
                    why = f"there is no database at {made.database}: `jobstream views` makes it"
                    raise NotFromViews(why, expected=named)
                if self._views is None:
                    self._views = Views(url, timeout_s=STATEMENT_S, app=self._app)
            except (JobstreamError, OSError) as error:
                if isinstance(error, NotFromViews):
                    raise
                raise NotFromViews(str(error), expected=True) from error
            return self._views

    def _in_time(self, work: Callable[[], T]) -> T:
        """What it returns, if that is within three seconds. Some drivers wait without an end."""
        if not self._room.acquire(blocking=False):
            why = f"{AT_ONCE} questions to the views are under way"
            raise NotFromViews(why, expected=True)
        ended: Future[T] = Future()

        def run() -> None:
            try:
                found = work()
            finally:
                self._room.release()
            ended.set_result(found)

        in_background("jobstream-views-ask", run, ended.set_exception)
        try:
            return ended.result(WAIT_S)
        except NotFromViews:
            raise
        except NotInTime as error:
            why = f"the views did not answer within {WAIT_S:g} s"
            self._rest(why)
            raise NotFromViews(why, expected=True) from error
        except Exception as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> NotFromViews:
        from jobstream.views.errors import DatabaseAway, ViewsError  # noqa: PLC0415 - as above

        if not isinstance(error, ViewsError):
            log.warning("views_question_failed", exc_info=error)
            return NotFromViews(f"the views failed: {type(error).__name__}", expected=True)
        if isinstance(error, DatabaseAway):
            self._rest(str(error))
        return NotFromViews(str(error), expected=True)

    def _rest(self, why: str) -> None:
        with self._lock:
            self._why = why
            self._rests_until_s = time.monotonic() + REST_S
