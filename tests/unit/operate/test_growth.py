"""What a queue may grow to: a whole multiple of what it had, and nothing that is more already."""

from __future__ import annotations

import re

import pytest

from jobstream.errors import ConfigError, TopicMissing
from jobstream.job_queue import Queue
from jobstream.operate.growth import plan_growth
from jobstream.operate.view import AppView
from jobstream.settings import Settings
from jobstream.topics.specs import specs


def view(partitions: int, **raised: int) -> AppView:
    """The app as its cluster has it; some topics were raised by whoever."""
    made = AppView("shop", Settings.load({}))
    counts = declared(partitions) | {f"shop.mail.{name}": n for name, n in raised.items()}
    made.__dict__["counts"] = counts
    return made


def declared(partitions: int) -> dict[str, int]:
    found = specs("shop", [Queue("mail", partitions=partitions)], 1)
    return {spec.name: spec.partitions for spec in found}


@pytest.mark.parametrize("raised", [{}, {"dedup": 4}, {"dedup": 4, "retry.5s": 4}])
def test_the_dead_letters_say_how_many_it_had(raised: dict[str, int]) -> None:
    planned = plan_growth(view(2, **raised), "mail", declared(4))

    assert (planned.was, planned.to) == (2, 4)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_only_a_whole_multiple_can_be_grown_to(count: int) -> None:
    with pytest.raises(ConfigError, match="whole multiple of 2"):
        plan_growth(view(2), "mail", declared(count))


def test_where_the_dead_letters_have_grown_nothing_is_left() -> None:
    with pytest.raises(ConfigError, match="nothing is left to grow"):
        plan_growth(view(4), "mail", declared(4))
    assert plan_growth(view(4), "mail", declared(4), was=2).was == 2


def test_a_topic_that_has_more_than_is_declared_is_named() -> None:
    with pytest.raises(ConfigError, match=r"these have more: \{'shop\.mail\.dedup': 8\}"):
        plan_growth(view(2, dedup=8), "mail", declared(4))


@pytest.mark.parametrize(
    "topic",
    ["shop.mail.dlq", "shop.mail.dedup", "shop.mail", "shop.mail.retry.5s", "shop.offsets"],
)
def test_a_topic_that_is_missing_is_named_with_what_to_do(topic: str) -> None:
    made = view(2)
    del made.__dict__["counts"][topic]

    with pytest.raises(TopicMissing, match=f"missing: {re.escape(topic)}.*topics apply"):
        plan_growth(made, "mail", declared(4))


def test_a_queue_of_which_one_topic_is_left_names_the_others() -> None:
    made = view(2)
    made.__dict__["counts"] = {"shop.mail.dedup": 2}

    with pytest.raises(TopicMissing, match=r"shop\.mail, .*shop\.mail\.dlq"):
        plan_growth(made, "mail", declared(4))
