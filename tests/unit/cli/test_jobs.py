"""What `jobstream jobs` says of jobs that wait, by what the workers of the machine answered."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from jobstream.cli.commands import jobs
from jobstream.operate.job_list import JobList
from jobstream.operate.job_states import JobNow
from jobstream.operate.state_names import WAITING

if TYPE_CHECKING:
    from collections.abc import Sequence

ANNOUNCED = JobNow("j-1", "send", "mail", WAITING, 0, 1, ahead=3, may_run=True)


@pytest.mark.parametrize(
    ("others", "why"), [(True, "may be running"), (False, "3 ahead of it in its partition")]
)
def test_a_job_may_run_only_where_a_worker_was_not_asked(*, others: bool, why: str) -> None:
    assert vars(jobs)["_why"](ANNOUNCED, (), others=others) == why


@pytest.mark.parametrize(
    ("topics", "told"),
    [
        (["shop.bulk"], ""),
        (["shop.mail"], "no job starts in shop.mail:0 (flood guard), shop.mail:1 (quiet)\n"),
    ],
)
def test_partitions_that_are_held_are_told(
    topics: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paused = {"partition": "shop.mail:1", "reasons": ["quiet"]}
    answers = [{"guarded": ["shop.mail:0"]}, {"paused": [paused]}]

    vars(jobs)["_tell_of_held"](answers, topics)

    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("wanted", "more"), [((), ""), (("duplicate",), ""), (("waiting",), "1 more; raise --limit")]
)
def test_jobs_of_any_end_are_counted_in_what_is_left_out(
    wanted: tuple[str, ...], more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # An end that only a newer version knows stands for all that come after this one.
    counts = Counter({"waiting": 3, "duplicate": 2, "of a newer version": 1})
    listed = {(): 6, ("duplicate",): 2}.get(wanted, 2)

    vars(jobs)["_tell"](JobList([ANNOUNCED] * listed, counts, 6, 0, 0), wanted)

    counted, *rest = capsys.readouterr().err.splitlines()
    assert counted == "3 waiting, 2 duplicate, 1 of a newer version"
    assert len(rest) == (2 if more else 1)
    assert rest[0].startswith(more or "read 6 records")
