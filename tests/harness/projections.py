"""Projections on a thread or in a process, and the straight fold that they are compared with."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from tests.harness.folded import rows_in

from jobstream.operate.view import AppView
from jobstream.topics.names import parse
from jobstream.views.batch import Run
from jobstream.views.changes import Where
from jobstream.views.database import opened
from jobstream.views.db_tables import places
from jobstream.views.migrating import migrate
from jobstream.views.projection import FOLDED
from jobstream.views.record_fold import Fold
from jobstream.views.role import ViewsRole
from jobstream.views.views_retention import Keep
from jobstream.views.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from tests.harness.served import Served

    from jobstream_processors.ports import Record

DECIDED_ELSEWHERE = {"marks", "minutes", "places", "workers", "meta", "unread"}
"""Tables that also tell of when somebody looked, or of what workers go on writing meanwhile."""

ENDED_S_MAX = 150.0
UPKEEP = "jobstream-views-upkeep"


@contextmanager
def projecting(served: Served, url: str) -> Iterator[ViewsRole]:
    """One on a thread of this process, on a database with all its tables."""
    engine = opened(url)
    migrate(engine)
    role = ViewsRole(AppView(served.app.name, served.app.settings), engine, Keep())
    thread = threading.Thread(target=role.run)
    thread.start()
    try:
        yield role
    finally:
        role.close()
        thread.join(ENDED_S_MAX)
        engine.dispose()
        assert not thread.is_alive()
        assert UPKEEP not in {each.name for each in threading.enumerate()}, "nothing asks any more"


def started(view: AppView, url: str, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """One instance; its log is beside its number in the folder."""
    command = [
        sys.executable, "-m", "jobstream", "views", "--app", view.app, "--database", url,
        "--log", "plain", *words,
    ]  # fmt: skip
    environ = {
        "JOBSTREAM_BOOTSTRAP_SERVERS": view.settings.bootstrap_servers,
        "JOBSTREAM_STATE_DIR": str(folder),
        "PATH": "/usr/bin:/bin",
    }
    with (folder / "views.log").open("ab") as log:
        return subprocess.Popen(command, env=environ, stdout=log, stderr=log)


def folded_so_far(url: str) -> int:
    """The sum of all stored offsets; 0 while there are no tables."""
    engine = opened(url, read_only=True)
    try:
        with engine.connect() as connection:
            return int(connection.execute(select(func.sum(places.c.next))).scalar() or 0)
    except DBAPIError:
        return 0
    finally:
        engine.dispose()


def log_ends(view: AppView) -> int:
    """The sum of the ends of all folded partitions."""
    return sum(high for _, high in view.cluster.spans(_places(view)).values())


def _places(view: AppView) -> list[tuple[str, int]]:
    view.look_again()
    return [
        (topic, number)
        for topic, count in view.counts.items()
        if (named := parse(topic)) is not None and named.app == view.app and named.kind in FOLDED
        for number in range(count)
    ]


def straight(view: AppView, url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of one fold of the whole log, each partition at once."""
    engine = opened(url)
    migrate(engine)
    spans = view.cluster.spans(_places(view))
    ids = view.cluster.topic_ids({topic for topic, _ in spans})
    found: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in view.records(spans):
        found[record.topic() or "", record.partition() or 0].append(record)
    runs = []
    for (topic, number), (low, high) in spans.items():
        named = parse(topic)
        assert named is not None
        where = Where(topic, number, ids[topic], str(named.kind), named.queue, named.rung)
        runs.append(Run(where, low, high, found[topic, number], high, 0))
    Writer(engine, Fold(view.catalogue), view.app).write(runs)
    rows = rows_in(engine)
    engine.dispose()
    return rows
