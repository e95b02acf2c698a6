"""What a plan does about topics with another partition count than the code declares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.topics.topics_there import applied, as_created, only

from jobstream import App
from jobstream.errors import TopicMismatch
from jobstream.job_queue import Queue
from jobstream.topics.names import Kind
from jobstream.topics.plan import plan, refuse
from jobstream.topics.specs import specs
from jobstream.topics.topic_rules import Action, compare

if TYPE_CHECKING:
    from jobstream.topics.sizes import SizeName

MAIL = Queue("mail", partitions=4)


def test_fewer_partitions_than_declared_are_refused_with_both_ways_out() -> None:
    spec = specs("shop", [MAIL], 1)[0]

    found = only(list(compare(spec, replace(as_created(spec), partitions=2))))

    assert found.action is Action.REFUSE
    assert (found.found, found.wanted) == ("2", "4")
    assert "declare 2" in found.fix
    with pytest.raises(TopicMismatch, match="--grow"):
        refuse([found], "advice")


@pytest.mark.parametrize(
    ("there", "fix"),
    [
        (2, "fix: declare 2, or grow the queue: jobstream topics apply MODULE:APP --grow mail"),
        (3, "fix: declare 3, or a multiple of 3, and then grow the queue: jobstream topics"),
    ],
)
def test_a_growth_is_advised_where_it_would_not_be_refused(there: int, fix: str) -> None:
    spec = specs("shop", [MAIL], 1)[0]

    found = only(list(compare(spec, replace(as_created(spec), partitions=there))))

    assert found.fix.startswith(fix)


def test_more_partitions_than_declared_stop_nobody_and_are_told() -> None:
    spec = specs("shop", [MAIL], 1)[0]

    found = only(list(compare(spec, replace(as_created(spec), partitions=6))))

    assert (found.action, found.harm) == (Action.LEAVE, "")
    assert "declare 6" in found.fix
    assert "--grow" in found.fix


@pytest.mark.parametrize(
    ("was", "now"), [("standard", "small"), ("small", "standard")], ids=["smaller", "bigger"]
)
def test_a_deployed_app_of_another_size_is_refused_with_the_way_out(
    was: SizeName, now: SizeName
) -> None:
    old, new = App("shop", size=was).queue("mail"), App("shop", size=now).queue("mail")
    existing = applied(plan("shop", [old], {}, brokers=1), {})

    planned = plan("shop", [new], existing, brokers=1)

    assert "shop.mail.dlq" in {d.topic for d in planned.refused}
    assert all(f"declare {old.partitions}" in d.fix for d in planned.refused)
    assert all("--grow mail" in d.fix for d in planned.refused)
    assert {d.topic for d in planned.differences} == {n for n in existing if ".mail" in n}


def test_topics_of_a_queue_that_differ_alike_are_one_line_that_names_them_all() -> None:
    few = [App("shop", size="small").queue(name) for name in ("mail", "images")]
    existing = applied(plan("shop", few, {}, brokers=1), {})

    planned = plan("shop", [Queue("mail"), Queue("images")], existing, brokers=1)
    lines = planned.lines()

    assert len(lines) == 4
    assert lines[0].startswith("~ shop.mail.retry.0s, shop.mail.retry.5s, ")
    assert lines[0].endswith(", shop.mail.retry.1d: partitions 1 → 12")
    assert lines[3].startswith(
        "! shop.images, shop.images.dlq, shop.images.dedup: partitions is 4, should be 12; "
    )
    assert all(d.topic in "\n".join(lines) for d in planned.differences)
    with pytest.raises(TopicMismatch) as caught:
        refuse(planned.differences, "advice")
    assert "more" not in str(caught.value).splitlines()[-2]


def test_a_queue_that_would_shrink_is_refused() -> None:
    """Its keys would lead elsewhere, while jobs and rows stay where they are."""
    spec = next(s for s in specs("shop", [MAIL], 1) if s.kind is Kind.DLQ)

    found = only(list(compare(spec, replace(as_created(spec), partitions=12))))

    assert found.action is Action.REFUSE
    assert "never shrinks" in found.harm
    assert "declare 12" in found.fix
    assert "--grow mail --was 4" in found.fix


def test_a_rung_gets_more_partitions_and_keeps_those_it_has() -> None:
    """What stands there names its partition of the queue: neither order nor rows depend on it."""
    few, many = Queue("mail", rungs={"1h": 1}), Queue("mail", rungs={"1h": 6})
    existing = applied(plan("shop", [few], {}, brokers=1), {})

    planned = plan("shop", [many], existing, brokers=1)

    assert planned.lines() == ["~ shop.mail.retry.1h: partitions 1 → 6"]
    assert planned.alter[0].harm, "until then no worker starts"
    mended = applied(planned, existing)
    assert plan("shop", [many], mended, brokers=1).is_empty
    (left,) = plan("shop", [few], mended, brokers=1).differences
    assert (left.action, left.harm) == (Action.LEAVE, "")
