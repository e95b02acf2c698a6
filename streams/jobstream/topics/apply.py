"""Looks at the cluster, carries out a plan, and holds a worker back from topics that do not fit.

The decisions are `plan.py`'s. It creates and alters; it never deletes a topic or a record.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream.errors import TopicMissing
from jobstream.topics.names import Kind, delay_group, parse, schedule_group, worker_group
from jobstream.topics.plan import PROBLEMS_SHOWN_MAX, Plan, plan, refuse
from jobstream.topics.sessions import GroupTimes, limits_from, plan_group
from jobstream.topics.specs import specs
from jobstream.topics.topic_rules import compare
from jobstream_processors.core.duration import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobstream.job_queue import Queue
    from jobstream.kafka.client.admin import Admin, Cluster
    from jobstream.settings import Settings
    from jobstream.topics.sessions import GroupPlan

log = logging.getLogger("jobstream.kafka")

ADVICE = "see the difference with: jobstream topics plan MODULE:APP"
_CLASSIC = "classic groups: a killed worker is missed after {}, then a rebalance of some seconds"
_NO_CONSUMER_PROTOCOL = (
    "this cluster has no consumer group protocol (KIP-848, in Kafka since 4.0): workers go on with "
    "the classic one, in which each rebalance takes some seconds; JOBSTREAM_GROUP_PROTOCOL=classic "
    "asks for it at once"
)
CREATE = "create them with: jobstream topics apply MODULE:APP"


def survey(
    admin: Admin,
    app: str,
    queues: Iterable[Queue],
    settings: Settings,
    *,
    schedules: bool = False,
) -> Plan:
    """Read the cluster and say what `apply` would do. Blocks for a few calls; changes nothing."""
    cluster = admin.cluster()
    declared = list(queues)
    mine = [name for name in admin.topics() if (p := parse(name)) is not None and p.app == app]
    names = [worker_group(app), delay_group(app), *([schedule_group(app)] if schedules else [])]
    groups, notes = _groups(admin, names, cluster, settings)
    return plan(
        app,
        declared,
        admin.describe(mine),
        len(cluster.brokers),
        replication=settings.replication,
        groups=groups,
        notes=notes,
        schedules=schedules,
    )


def apply(planned: Plan, admin: Admin) -> Plan:
    """Create topics, alter what is safe to alter, set the groups' sessions; returns the plan.

    Raises TopicMismatch or UnsafeTopic before the first change if the plan refuses anything.
    A failure half-way leaves the rest undone: survey and apply again.
    """
    refuse(planned.refused, "nothing was changed")
    admin.create(planned.create)
    for topic in sorted({difference.topic for difference in planned.alter}):
        wanted = {d.setting: d.wanted for d in planned.alter if d.topic == topic}
        if (partitions := wanted.pop("partitions", None)) is not None:
            admin.add_partitions(topic, int(partitions))
        admin.alter_topic(topic, wanted)
    for group in planned.groups:
        admin.alter_group(group.group, group.changes)
    return planned


def verify(admin: Admin, app: str, queues: Iterable[Queue], *, schedules: bool = False) -> None:
    """Hold a worker back at start: raises TopicMissing, TopicMismatch or UnsafeTopic.

    The message names each topic, what differs, why it matters and the command to run. A return
    says nothing about settings that are changed later.
    """
    # How many copies there are is not its business.
    needed = specs(app, queues, replication=1, schedules=schedules)
    existing = admin.describe(spec.name for spec in needed)
    missing = [spec.name for spec in needed if spec.name not in existing]
    if missing:
        shown = ", ".join(missing[:PROBLEMS_SHOWN_MAX])
        rest = len(missing) - PROBLEMS_SHOWN_MAX
        message = f"topics do not exist: {shown}{f' and {rest} more' if rest > 0 else ''}; {CREATE}"
        raise TopicMissing(message)
    rungs = {spec.name for spec in needed if spec.kind is Kind.RUNG}
    found = [difference for spec in needed for difference in compare(spec, existing[spec.name])]
    refuse([difference for difference in found if difference.harm], ADVICE)
    for difference in found:
        if difference.setting == "partitions" and difference.topic not in rungs:
            log.warning("partitions_undeclared", extra={"reason": str(difference)})


def _groups(
    admin: Admin, names: Sequence[str], cluster: Cluster, settings: Settings
) -> tuple[list[GroupPlan], list[str]]:
    if settings.group_protocol == "classic":
        return [], [_CLASSIC.format(to_text(settings.session_timeout_ms))]
    if admin.supports_consumer_protocol() is False:
        return [], [_NO_CONSUMER_PROTOCOL]
    times = GroupTimes(settings.session_timeout_ms, settings.heartbeat_ms)
    limits = limits_from(admin.broker_configs(cluster.brokers[0]))
    found = admin.group_configs(*names)
    return [plan_group(name, times, limits, found[name]) for name in names], []
