"""What `jobstream jobs` says of jobs that wait, by what the workers of the machine answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.cli.commands import jobs
from jobstream.operate.job_states import WAITING, JobNow

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
