"""The difference between the topics an app needs and those that exist. Pure; changes nothing.

`apply.py` reads the broker, asks here, and carries out what was decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.errors import ConfigError, TopicMismatch, UnsafeTopic
from jobstream.topics.by_queue import by_queue, counted, queue_of
from jobstream.topics.names import parse
from jobstream.topics.sessions import GroupPlan
from jobstream.topics.specs import TopicSpec, specs
from jobstream.topics.topic_rules import Action, Difference, alike, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobstream.job_queue import Queue
    from jobstream.topics.by_queue import TopicsOfQueue
    from jobstream.topics.topic_rules import TopicState

REPLICATION_MAX = 3
"""Copies of a topic when the setting is absent and the cluster has as many brokers."""
PROBLEMS_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would do, what it refuses, and what it leaves alone."""

    create: tuple[TopicSpec, ...] = ()
    differences: tuple[Difference, ...] = ()
    groups: tuple[GroupPlan, ...] = ()
    unchanged: tuple[str, ...] = ()
    """Topics that are as they should be."""
    leftovers: tuple[str, ...] = ()
    """Topics of the app that nothing declares any more. Never deleted from here."""
    notes: tuple[str, ...] = ()
    """What the operator should know about the cluster."""

    @property
    def is_empty(self) -> bool:
        """Whether `apply` would change nothing and refuse nothing."""
        groups = any(group.changes for group in self.groups)
        return not (self.create or self.alter or self.refused or groups)

    @property
    def alter(self) -> tuple[Difference, ...]:
        """Settings that will be changed; none of these changes can delete a record."""
        return self._with(Action.ALTER)

    @property
    def refused(self) -> tuple[Difference, ...]:
        """Settings that break a guarantee and must be mended by hand."""
        return self._with(Action.REFUSE)

    @property
    def left(self) -> tuple[Difference, ...]:
        """Settings that differ and are left alone."""
        return self._with(Action.LEAVE)

    def _with(self, action: Action) -> tuple[Difference, ...]:
        return tuple(d for d in self.differences if d.action is action)

    @property
    def created_whole(self) -> tuple[TopicsOfQueue, ...]:
        """The queues, and the app itself, whose topics are all to be created."""
        there = (*self.unchanged, *(d.topic for d in self.differences))
        begun = {queue_of(topic) for topic in there}
        return tuple(group for group in by_queue(self.create) if group.queue not in begun)

    def lines(self) -> list[str]:
        """The plan for a person: `+` create, `~` alter, `!` refused, `=` left, `?` leftover."""
        return [*(f"+ {group}" for group in self.created_whole), *self.details()]

    def details(self) -> list[str]:
        """The same without the queues that are created whole."""
        whole = {spec.name for group in self.created_whole for spec in group.specs}
        return [
            *(
                f"+ {s.name}: {counted(s.partitions, 'partition')}, "
                f"{counted(s.replication, 'copy', 'copies')}"
                for s in self.create
                if s.name not in whole
            ),
            *(f"~ {d.topic}: {d.setting} {d.found} → {d.wanted}" for d in alike(self.alter)),
            *(f"~ group {g.group}: {k}={v}" for g in self.groups for k, v in g.changes.items()),
            *(f"! {d}" for d in alike(self.refused)),
            *(f"= {d}" for d in alike(self.left)),
            *(f"? {name}: nothing declares it; delete it by hand" for name in self.leftovers),
            *(f"note: {note}" for g in self.groups for note in g.notes),
            *(f"note: {note}" for note in self.notes),
        ]


def replication_for(brokers: int, asked: int | None) -> int:
    """Copies of every topic: what was asked for, else one per broker and at most three."""
    if asked is None:
        return max(1, min(REPLICATION_MAX, brokers))
    if asked > brokers:
        message = (
            f"replication={asked} needs as many brokers and there are {brokers}: "
            "lower JOBSTREAM_REPLICATION or leave it out"
        )
        raise ConfigError(message)
    return asked


def plan(
    app: str,
    queues: Iterable[Queue],
    existing: Mapping[str, TopicState],
    brokers: int,
    *,
    replication: int | None = None,
    groups: Sequence[GroupPlan] = (),
    notes: Sequence[str] = (),
    schedules: bool = False,
) -> Plan:
    """Compare what `app` needs with what is there; `existing` may hold topics of others."""
    copies = replication_for(brokers, replication)
    needed = specs(app, queues, copies, schedules=schedules)
    names = {spec.name for spec in needed}
    compared = {s.name: compare(s, existing[s.name]) for s in needed if s.name in existing}
    return Plan(
        create=tuple(spec for spec in needed if spec.name not in existing),
        differences=tuple(d for found in compared.values() for d in found),
        groups=tuple(groups),
        unchanged=tuple(name for name, found in compared.items() if not found),
        leftovers=tuple(sorted(n for n in existing if n not in names and _is_of(app, n))),
        notes=tuple(notes),
    )


def _is_of(app: str, name: str) -> bool:
    parts = parse(name)
    return parts is not None and parts.app == app


def refuse(problems: Sequence[Difference], advice: str) -> None:
    """Raise TopicMismatch or UnsafeTopic naming `problems`, if there are any."""
    if not problems:
        return
    told = alike(problems)
    shown = "\n".join(f"  {problem}" for problem in told[:PROBLEMS_SHOWN_MAX])
    more = len(told) - PROBLEMS_SHOWN_MAX
    rest = f"\n  and {more} more" if more > 0 else ""
    message = f"the topics do not fit this app:\n{shown}{rest}\n{advice}"
    if any(problem.setting == "partitions" for problem in problems):
        raise TopicMismatch(message)
    raise UnsafeTopic(message)
