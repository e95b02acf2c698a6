"""One app that is looked at and acted on: its name, its code if that is known, and its sources.

Everything that asks the brokers for an answer goes through here, so that its number is bounded.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jobstream.answers.job_ends import JobEnds
from jobstream.answers.kept import AnswerCache
from jobstream.answers.log_readers import LogReaders
from jobstream.answers.read_side import ReadSide
from jobstream.answers.shared_look import SharedLook
from jobstream.app import App
from jobstream.operate.process_answers import processes_here
from jobstream.operate.view import AppView

if TYPE_CHECKING:
    from jobstream.answers.kept import CachedAnswer
    from jobstream.settings import Settings


class Site:
    """An app and what is known of it. Safe in any thread; `close` ends what it started."""

    def __init__(self, app: App, *, has_code: bool, database: str | None = None) -> None:
        """`has_code`: the app is what its code declares, else only its name is known.

        `database` is the URL of that of `jobstream views`, by default the file that it keeps.
        """
        self.app = app
        self.name = app.name
        self.settings = app.settings
        self.has_code = has_code
        self.look = SharedLook(self.view)
        self.readers = LogReaders(self.view)
        self.kept = AnswerCache()
        self.ends = JobEnds(self.view)
        self.read_side = ReadSide(self.name, self.settings, database)

    @classmethod
    def of(cls, app: App, database: str | None = None) -> Site:
        """That of an app whose code is here."""
        return cls(app, has_code=True, database=database)

    @classmethod
    def named(cls, name: str, settings: Settings, database: str | None = None) -> Site:
        """That of an app of which the name is known alone; raises ConfigError for a bad one."""
        return cls(App(name, settings=settings), has_code=False, database=database)

    def view(self) -> AppView:
        """A new view of the app's log, for one thread."""
        return AppView(self.name, self.settings)

    def processes(self) -> CachedAnswer[list[dict[str, Any]]]:
        """What each process of this machine says of itself; blocks for 5 s at most."""
        return self.kept.get("processes", lambda: processes_here(self.name, self.settings))

    def known_types(self) -> tuple[str, ...]:
        """The job types whose schema is in the log; blocks while they are read."""

        def read() -> tuple[str, ...]:
            with self.readers.one() as view:
                return tuple(view.catalogue.job_types())

        return self.kept.get("types", read).value

    def now_ms(self) -> int:
        """Milliseconds since the epoch by this machine's clock."""
        return time.time_ns() // 1_000_000

    def close(self) -> None:
        """Stop looking, and disconnect what enqueues."""
        self.look.close()
        self.ends.close()
        self.read_side.close()
        self.app.close()
