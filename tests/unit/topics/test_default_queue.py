"""The queue `default` is there for a job type that names no other, and else not at all."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobstream import App, ConfigError
from jobstream.testing import memory
from jobstream.topics.plan import Plan, plan
from jobstream.topics.specs import specs
from jobstream.topics.topic_rules import TopicState


@dataclass(frozen=True)
class Receipt:
    order_id: str


def planned(app: App, existing: dict[str, TopicState]) -> Plan:
    return plan(app.name, app.queues.values(), existing, 1)


def test_an_app_whose_job_types_name_their_queues_has_no_default() -> None:
    app = App("shop")
    app.declare("send", Receipt, queue=app.queue("mail"))

    assert list(app.queues) == list(app.plans()) == ["mail"]
    assert not [spec.name for spec in planned(app, {}).create if ".default" in spec.name]
    with memory(app) as jobs:
        assert not [name for name in jobs.broker.topics() if ".default" in name]
    with pytest.raises(ConfigError, match="declares no queue 'default'; it declares: mail"):
        app.plans(["default"])


def test_the_first_type_without_a_queue_declares_it() -> None:
    app = App("shop")
    assert not app.queues

    first, second = app.declare("first", Receipt), app.declare("second", Receipt)

    assert first.queue == second.queue == app.queues["default"]
    assert "shop.default" in {spec.name for spec in planned(app, {}).create}


def test_it_is_declared_with_options_before_the_first_type_that_names_none() -> None:
    app = App("shop")
    app.queue("default", partitions=3)
    assert list(app.plans()) == ["default"], "declared is declared, with or without a type"

    assert app.declare("send", Receipt).queue.partitions == 3
    with pytest.raises(ConfigError, match="declared already in another way"):
        app.queue("default", partitions=4)


def test_topics_of_a_default_that_nothing_declares_any_more_are_told_and_left() -> None:
    app = App("shop")
    app.declare("send", Receipt, queue=app.queue("mail"))
    before = App("shop")
    before.queue("default")
    there = specs("shop", before.queues.values(), 1)
    states = {s.name: TopicState(s.name, s.partitions, 1, s.configs) for s in there}

    found = planned(app, states)

    of_default = {name for name in states if name.startswith("shop.default")}
    assert of_default
    assert set(found.leftovers) == of_default
    assert not [d for d in found.differences if d.topic in of_default]
