"""The plan: what is created, altered, refused or left, and that an applied plan is empty."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.topics.topics_there import applied, as_created, only

from jobstream import App
from jobstream.errors import ConfigError, UnsafeTopic
from jobstream.job_queue import Queue
from jobstream.topics.names import Kind
from jobstream.topics.plan import plan, refuse, replication_for
from jobstream.topics.specs import specs
from jobstream.topics.topic_rules import Action, Difference, compare

MAIL = Queue("mail", partitions=4)
KINDS = st.sampled_from([Kind.QUEUE, Kind.RUNG, Kind.DLQ, Kind.DEDUP, Kind.OFFSETS, Kind.SCHEMAS])


def with_setting(kind: Kind, setting: str, value: str, *, copies: int = 3) -> list[Difference]:
    """The differences of a topic that is right but for one setting."""
    spec = next(s for s in reversed(specs("shop", [MAIL], copies)) if s.kind is kind)
    state = as_created(spec)
    return list(compare(spec, replace(state, configs={**state.configs, setting: value})))


def test_on_an_empty_cluster_everything_is_created() -> None:
    planned = plan("shop", [MAIL], {}, brokers=3)

    assert {spec.name for spec in planned.create} == {s.name for s in specs("shop", [MAIL], 3)}
    assert not planned.is_empty
    assert not planned.differences


def test_an_applied_plan_is_empty() -> None:
    existing = applied(plan("shop", [MAIL], {}, brokers=3), {})

    again = plan("shop", [MAIL], existing, brokers=3)

    assert again.is_empty
    assert not again.differences
    assert set(again.unchanged) == existing.keys()


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "retention.ms": st.integers(min_value=86_400_000 * 2, max_value=10**12).map(str),
        "min.insync.replicas": st.sampled_from(["1", "2", "3"]),
        "max.message.bytes": st.integers(1, 10**7).map(str),
        "segment.ms": st.integers(1, 10**9).map(str),
        "segment.bytes": st.integers(1_048_576, 2**30).map(str),
        "delete.retention.ms": st.integers(0, 10**9).map(str),
        "min.cleanable.dirty.ratio": st.sampled_from(["0.0", "0.5", "1.0"]),
        "compression.type": st.sampled_from(["zstd", "producer"]),
        "cleanup.policy": st.sampled_from(
            ["delete", "compact", "compact,delete", "delete,compact"]
        ),
    },
)


@given(KINDS, SETTINGS, st.sampled_from([1, 3]))
def test_applying_reaches_a_fixed_point_whatever_was_there(
    kind: Kind, settings: dict[str, str], copies: int
) -> None:
    changed = {
        s.name: replace(as_created(s), configs={**s.configs, **settings})
        for s in specs("shop", [MAIL], copies)
        if s.kind is kind
    }
    planned = plan("shop", [MAIL], changed, brokers=3)
    if planned.refused:
        return

    again = plan("shop", [MAIL], applied(planned, changed), brokers=3)

    assert again.is_empty
    assert {d.setting for d in again.differences} <= {
        "retention.ms",
        "cleanup.policy",
        "replication",
    }
    assert again.left == planned.left


@given(KINDS, SETTINGS)
def test_nothing_that_is_altered_can_delete_a_record(kind: Kind, settings: dict[str, str]) -> None:
    spec = next(s for s in specs("shop", [MAIL], 3) if s.kind is kind)
    state = replace(as_created(spec), configs={**spec.configs, **settings})

    for d in compare(spec, state):
        if d.action is Action.ALTER and d.setting == "retention.ms":
            assert int(d.wanted) > int(d.found)
        if d.action is Action.ALTER and d.setting == "cleanup.policy":
            assert "delete" in d.found or "delete" not in d.wanted


@pytest.mark.parametrize(
    ("kind", "setting", "value", "harm"),
    [
        (Kind.QUEUE, "cleanup.policy", "compact", "one job per key"),
        (Kind.QUEUE, "cleanup.policy", "compact,delete", "one job per key"),
        (Kind.RUNG, "cleanup.policy", "delete,compact", "one job per key"),
        (Kind.OFFSETS, "cleanup.policy", "compact,delete", "still needed"),
        (Kind.SCHEMAS, "cleanup.policy", "delete", "still needed"),
        (Kind.QUEUE, "message.timestamp.type", "CreateTime", "producer's clock"),
        (Kind.QUEUE, "min.insync.replicas", "4", "no write can ever be acknowledged"),
        (Kind.QUEUE, "unclean.leader.election.enable", "true", "acknowledged jobs are gone"),
        (Kind.QUEUE, "retention.bytes", "1000000000", "run or not"),
        (Kind.DEDUP, "retention.ms", "86399999", "may run again"),
        (Kind.RUNG, "retention.ms", "86399999", "deleted before it leaves"),
    ],
)
def test_what_breaks_a_guarantee_is_refused(
    kind: Kind, setting: str, value: str, harm: str
) -> None:
    found = only(with_setting(kind, setting, value))

    assert found.action is Action.REFUSE
    assert harm in found.harm
    assert f"--add-config {setting}={found.wanted}" in found.fix


@pytest.mark.parametrize(
    ("kind", "setting", "value", "harm"),
    [
        (Kind.QUEUE, "retention.ms", "3600000", False),
        (Kind.DEDUP, "retention.ms", "86400000", False),
        (Kind.QUEUE, "min.insync.replicas", "1", True),
        (Kind.QUEUE, "max.message.bytes", "500000", True),
        (Kind.DLQ, "cleanup.policy", "delete", False),
        (Kind.DLQ, "delete.retention.ms", "1000", False),
        (Kind.DEDUP, "segment.bytes", "1073741824", False),
        (Kind.QUEUE, "compression.type", "gzip", False),
    ],
)
def test_what_is_safe_to_alter_is_altered(
    kind: Kind,
    setting: str,
    value: str,
    harm: bool,  # noqa: FBT001 - a column of the table
) -> None:
    found = only(with_setting(kind, setting, value))

    assert found.action is Action.ALTER
    assert bool(found.harm) == harm


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (Kind.QUEUE, "retention.ms", "99999999999"),
        (Kind.DLQ, "cleanup.policy", "compact"),
    ],
)
def test_what_would_delete_records_is_left_and_told(kind: Kind, setting: str, value: str) -> None:
    found = only(with_setting(kind, setting, value))

    assert found.action is Action.LEAVE
    assert found.fix


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (Kind.QUEUE, "retention.ms", "-1"),
        (Kind.QUEUE, "min.insync.replicas", "3"),
        (Kind.QUEUE, "max.message.bytes", "20000000"),
        (Kind.DEDUP, "cleanup.policy", "delete,compact"),
        (Kind.DLQ, "delete.retention.ms", "99999999999"),
        (Kind.QUEUE, "flush.ms", "1000"),
    ],
)
def test_what_does_no_harm_is_nobodys_business(kind: Kind, setting: str, value: str) -> None:
    assert with_setting(kind, setting, value) == []


def test_one_copy_needs_one_acknowledgement() -> None:
    assert with_setting(Kind.QUEUE, "min.insync.replicas", "1", copies=1) == []
    found = only(with_setting(Kind.QUEUE, "min.insync.replicas", "2", copies=1))
    assert found.action is Action.REFUSE


@pytest.mark.parametrize("asked", [1, 3, None])
def test_the_copies_a_topic_has_decide_how_many_acknowledge(asked: int | None) -> None:
    existing = applied(plan("shop", [MAIL], {}, brokers=3), {})
    weak = existing["shop.mail"]
    weak = replace(weak, configs={**weak.configs, "min.insync.replicas": "1"})
    existing["shop.mail"] = weak

    planned = plan("shop", [MAIL], existing, brokers=3, replication=asked)
    assert planned.lines() == ["~ shop.mail: min.insync.replicas 1 → 2"]
    mended = applied(planned, existing)
    assert plan("shop", [MAIL], mended, brokers=3, replication=asked).is_empty

    # A worker compares with one copy, since how many there are is not its business.
    found = only(list(compare(specs("shop", [MAIL], 1)[0], weak)))
    with pytest.raises(UnsafeTopic, match=r"is 1, should be 2; .*jobstream topics apply"):
        refuse([found], "advice")


def test_more_acknowledgements_than_copies_are_lowered_to_what_the_copies_allow() -> None:
    lonely = replace(as_created(specs("shop", [MAIL], 3)[0]), replication=1)

    found = compare(specs("shop", [MAIL], 3)[0], lonely)

    [refused] = [difference for difference in found if difference.action is Action.REFUSE]
    assert "--add-config min.insync.replicas=1" in refused.fix


def test_fewer_copies_than_wanted_stop_nobody() -> None:
    [spec, *_] = specs("shop", [MAIL], 3)
    lonely = replace(
        as_created(spec), replication=1, configs={**spec.configs, "min.insync.replicas": "1"}
    )

    found = only(list(compare(spec, lonely)))

    assert (found.setting, found.action, found.harm) == ("replication", Action.LEAVE, "")


def test_topics_that_nothing_declares_are_told_and_kept() -> None:
    existing = applied(plan("shop", [MAIL, Queue("old")], {}, brokers=1), {})
    existing["shopping.mail"] = replace(existing["shop.old"], name="shopping.mail")

    planned = plan("shop", [MAIL], existing, brokers=1)

    assert planned.is_empty
    assert set(planned.leftovers) == {s.name for s in specs("shop", [Queue("old")], 1)} - {
        "shop.offsets",
        "shop.schemas",
        "shop.control",
    }


def test_lines_show_every_kind_of_difference() -> None:
    existing = applied(plan("shop", [MAIL], {}, brokers=1), {})
    del existing["shop.mail.dlq"]
    existing["shop.gone"] = replace(existing["shop.mail"], name="shop.gone")
    for setting, value in {
        "max.message.bytes": "10",
        "retention.ms": "99999999999",
        "unclean.leader.election.enable": "true",
    }.items():
        state = existing["shop.mail"]
        existing["shop.mail"] = replace(state, configs={**state.configs, setting: value})

    lines = plan("shop", [MAIL], existing, brokers=1, notes=["mind the gap"]).lines()

    assert [line[0] for line in lines] == ["+", "~", "!", "=", "?", "n"]
    assert lines[0] == "+ shop.mail.dlq: 4 partitions, 1 copy"
    assert lines[1] == "~ shop.mail: max.message.bytes 10 → 1048588"
    assert "kafka-configs --alter --topic shop.mail" in lines[2]


def test_queues_that_are_new_are_one_line_each_and_a_single_topic_is_named() -> None:
    existing = applied(plan("shop", [MAIL], {}, brokers=3), {})
    del existing["shop.mail.dlq"]
    del existing["shop.control"]
    small = App("shop", size="small").queue("small")
    uneven = Queue("uneven", partitions=6, rungs={"1h": 1, "1d": 2})

    planned = plan("shop", [MAIL, Queue("new"), small, uneven], existing, brokers=3)

    assert planned.lines() == [
        "+ queue new: 11 topics, 12 partitions each, 3 copies",
        "+ queue small: 11 topics, 4 partitions each, 1 a rung, 3 copies",
        "+ queue uneven: 11 topics, 6 partitions each, 1 to 6 a rung, 3 copies",
        "+ shop.mail.dlq: 4 partitions, 3 copies",
        "+ shop.control: 1 partition, 3 copies",
    ]
    assert planned.details() == planned.lines()[3:]


def test_a_refusal_shows_ten_problems_and_counts_the_rest() -> None:
    problem = only(with_setting(Kind.QUEUE, "cleanup.policy", "compact"))

    with pytest.raises(UnsafeTopic, match="and 2 more\nadvice") as caught:
        refuse([replace(problem, topic=f"shop.queue-{n}") for n in range(12)], "advice")

    assert str(caught.value).count("one job per key") == 10


def test_nothing_to_refuse_raises_nothing() -> None:
    refuse([], "advice")


@pytest.mark.parametrize(
    ("brokers", "asked", "copies"),
    [(1, None, 1), (2, None, 2), (3, None, 3), (9, None, 3), (3, 1, 1)],
)
def test_copies(brokers: int, asked: int | None, copies: int) -> None:
    assert replication_for(brokers, asked) == copies


def test_more_copies_than_brokers_are_refused() -> None:
    with pytest.raises(ConfigError, match="replication=3 needs as many brokers and there are 2"):
        replication_for(2, 3)
