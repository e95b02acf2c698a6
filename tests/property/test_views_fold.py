"""Any interleaving of partitions, in any pieces, with a crash at any step: the same rows."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from tests.harness.folded import logs_of, made, part, rows_in, sqlite_in, whole
from tests.harness.played_shop import Turn, histories, opened

from jobstream.views import database

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobstream.views.batch import Run
    from jobstream.views.changes import Where
    from jobstream.views.writing import Writer
    from jobstream_processors.ports import Record

PIECE_MAX = 4


class Killed(BaseException):
    """The process ends here."""


def pieces(logs: Mapping[Where, Sequence[Record]], chance: random.Random) -> list[list[Run]]:
    """Batches of runs that cover every partition in order, each partition at its own pace."""
    at = dict.fromkeys(logs, 0)
    batches: list[list[Run]] = []
    while left := [where for where, n in at.items() if n < len(logs[where])]:
        batch = []
        for where in chance.sample(left, chance.randint(1, len(left))):
            # What a restarted reader reads again lies below what is stored.
            first = max(0, at[where] - chance.choice((0, 0, 2)))
            last = min(len(logs[where]), at[where] + chance.randint(1, PIECE_MAX))
            batch.append(part(where, logs[where], first, last))
            at[where] = last
        batches.append(batch)
    return batches


def write_with_kills(
    writer: Writer, batches: list[list[Run]], engine: object, chance: random.Random
) -> int:
    """Write each batch, killed at some statement of it or at its commit, and then once more."""
    kills, left = 0, 0

    def _count(*_: object) -> None:
        nonlocal left, kills
        left -= 1
        if left == 0:
            kills += 1
            raise Killed

    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, _count)
    for batch in batches:
        left = chance.randint(1, 40)
        try:
            writer.write(batch)
        except Killed:
            left = -1
            written = writer.write(batch)
            assert not written.misplaced
    for name in ("before_cursor_execute", "commit"):
        event.remove(engine, name, _count)
    return kills


@settings(max_examples=15, deadline=None)
@given(histories, st.integers(0, 2**32))
@example([([(("dead",), "now")], "1s", "redrive"), ([], "1s", "")], 1)
@example([([(("fail", "ok"), "in_place")], "3h", "restart")], 2)
def test_rows_are_those_of_one_straight_fold(history: list[Turn], seed: int) -> None:
    with opened() as shop, TemporaryDirectory() as folder:
        shop.play(history)
        broker, chance = shop.jobs.broker, random.Random(seed)
        logs = logs_of(broker)
        straight, mixed = (Path(folder) / name for name in ("straight", "mixed"))
        found = []
        for place in (straight, mixed):
            place.mkdir()
            engine = database.opened(sqlite_in(place))
            writer = made(engine, broker, "shop")
            if place == straight:
                writer.write([whole(where, records) for where, records in logs.items()])
            else:
                write_with_kills(writer, pieces(logs, chance), engine, chance)
            found.append(rows_in(engine))
            engine.dispose()

        for table, rows in found[0].items():
            if table not in {"minutes", "places"}:
                assert found[1][table] == rows, table
        assert {row[:4] for row in found[1]["places"]} == {
            row[:4] for row in found[0]["places"] if row[3]
        }
