"""Topics as a broker has them: right after their creation, and after a plan was carried out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream.topics.topic_rules import Difference, TopicState

if TYPE_CHECKING:
    from jobstream.topics.plan import Plan
    from jobstream.topics.specs import TopicSpec


def as_created(spec: TopicSpec) -> TopicState:
    """The topic as a broker has it right after its creation, with a setting of the broker's own."""
    configs = {"flush.ms": "9223372036854775807", **spec.configs}
    return TopicState(spec.name, spec.partitions, spec.replication, configs)


def only(differences: list[Difference]) -> Difference:
    [difference] = differences
    return difference


def applied(planned: Plan, existing: dict[str, TopicState]) -> dict[str, TopicState]:
    """What the cluster has when the plan was carried out."""
    after = existing | {spec.name: as_created(spec) for spec in planned.create}
    for d in planned.alter:
        state = after[d.topic]
        if d.setting == "partitions":
            after[d.topic] = replace(state, partitions=int(d.wanted))
        else:
            after[d.topic] = replace(state, configs={**state.configs, d.setting: d.wanted})
    return after
