"""What an app's size says, and that a queue's own declaration says more."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import pytest

from jobstream import App
from jobstream.errors import ConfigError
from jobstream.settings import Settings
from jobstream.topics.sizes import SIZES
from jobstream.topics.specs import specs
from jobstream_processors.core.ladder import RUNGS


@dataclass(frozen=True)
class Number:
    n: int


THREE = ("mail", "images", "reports")


@pytest.mark.parametrize(
    ("size", "topics", "partitions"), [("small", 36, 63), ("standard", 36, 399)]
)
def test_what_an_app_with_three_queues_comes_to(size: Any, topics: int, partitions: int) -> None:  # noqa: ANN401 - a column
    app = App("shop", size=size)
    queues = [app.queue(name) for name in THREE]

    made = specs("shop", queues, 3)

    assert (len(made), sum(spec.partitions for spec in made)) == (topics, partitions)


def test_the_standard_size_is_the_default() -> None:
    assert App("shop").queue("mail") == App("shop", size="standard").queue("mail")
    assert App("shop").queue("mail").partitions == 12


def test_a_small_queue_has_one_partition_for_each_rung() -> None:
    plan = (app := App("shop", size="small")).plan(app.queue("mail"))

    assert plan.partitions == 4
    assert {count for _, count in plan.rungs.values()} == {1}
    assert [*plan.rungs] == [*RUNGS]


def test_what_a_queue_says_wins_over_the_size() -> None:
    app = App("shop", size="small")

    mail = app.queue("mail", partitions=6, rungs={"0s": 2})

    assert mail.partitions == 6
    assert mail.rung_partitions == {**dict.fromkeys(RUNGS, 1), "0s": 2}
    assert app.queue("tiny", partitions=1).rung_partitions == dict.fromkeys(RUNGS, 1)


def test_default_has_the_size_too() -> None:
    app = App("shop", size="small")

    app.declare("count", Number)

    assert app.plans()["default"].partitions == 4


def test_no_variable_says_the_size(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two producers with other environments would write one key to two partitions."""
    monkeypatch.setenv("JOBSTREAM_SIZE", "small")

    assert App("shop").queue("mail").partitions == 12
    assert "JOBSTREAM_SIZE is read by nothing" in caplog.text


@pytest.mark.parametrize("size", ["tiny", "", None, 4, ["small"]])
def test_an_unknown_size_is_refused_with_those_there_are(size: object) -> None:
    with pytest.raises(ConfigError, match="choose 'small' or 'standard'"):
        App("shop", size=cast("Any", size))


def test_the_size_goes_with_given_settings() -> None:
    app = App("shop", size="small", settings=Settings.load({}))

    assert app.queue("mail").partitions == 4


def test_each_size_grows_to_the_next_by_a_whole_multiple() -> None:
    counts = [size.partitions for size in SIZES.values()]

    assert all(more % fewer == 0 for fewer, more in pairwise(counts))
