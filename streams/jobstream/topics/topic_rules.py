"""What may differ between a topic and its spec, and what is done about it: a table of rules. Pure.

Only what cannot delete a record is altered. What breaks a guarantee and can't be mended from here
is refused with the reason and the fix, and anything else is left as it is and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from jobstream.topics.by_queue import queue_of
from jobstream.topics.names import Kind
from jobstream.topics.specs import TopicSpec, in_sync_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOREVER = -1
APPLY = "fix: jobstream topics apply MODULE:APP"
GROW = "grow the queue: jobstream topics apply MODULE:APP --grow"


class Action(StrEnum):
    """What is done about a difference."""

    ALTER = "alter"
    REFUSE = "refuse"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it; `configs` are the values in force, defaults included."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str] = field(hash=False)
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting of one topic that is not what it should be."""

    topic: str
    setting: str
    found: str
    wanted: str
    action: Action
    harm: str = ""
    """The guarantee that it breaks; "" if it breaks none."""
    fix: str = ""

    def __str__(self) -> str:
        """The difference as a sentence: what is there, what it should be, why, and the fix."""
        text = f"{self.topic}: {self.setting} is {self.found}, should be {self.wanted}"
        return "; ".join(part for part in (text, self.harm, self.fix) if part)


def alike(differences: Iterable[Difference]) -> list[Difference]:
    """The same with topics of one queue that differ alike told as one: it names all of them."""
    found: dict[tuple[str, Difference], list[str]] = {}
    for difference in differences:
        what = queue_of(difference.topic), replace(difference, topic="")
        found.setdefault(what, []).append(difference.topic)
    return [replace(what, topic=", ".join(topics)) for (_, what), topics in found.items()]


@dataclass(frozen=True, slots=True)
class _Found:
    """One setting under comparison."""

    setting: str
    found: str
    wanted: str
    spec: TopicSpec
    state: TopicState

    def differs(self, action: Action, harm: str = "", fix: str = "") -> Difference:
        name = self.state.name
        return Difference(name, self.setting, self.found, self.wanted, action, harm, fix)

    def refused(self, harm: str) -> Difference:
        change = f"--alter --topic {self.state.name} --add-config {self.setting}={self.wanted}"
        return self.differs(Action.REFUSE, harm, f"fix: kafka-configs {change}")


def compare(spec: TopicSpec, state: TopicState) -> tuple[Difference, ...]:
    """Every difference that matters; settings that the spec does not name are the operator's."""
    checks = [_partitions(spec, state), _copies(spec, state)]
    for setting, wanted in spec.configs.items():
        found = state.configs.get(setting)
        if found is not None:
            rule = RULES.get(setting, _tuned)
            checks.append(rule(_Found(setting, found, wanted, spec, state)))
    return tuple(difference for difference in checks if difference is not None)


def _partitions(spec: TopicSpec, state: TopicState) -> Difference | None:
    if state.partitions == spec.partitions:
        return None
    at = _Found("partitions", str(state.partitions), str(spec.partitions), spec, state)
    return _partitions_of_rung(at) if spec.kind is Kind.RUNG else _partitions_of_queue(at)


def _partitions_of_rung(at: _Found) -> Difference:
    # A record there names its partition of the queue, and delayers read all that the topic has.
    if at.state.partitions > at.spec.partitions:
        return at.differs(Action.LEAVE, fix="the rest is read, too, and stays empty from now on")
    return at.differs(Action.ALTER, "a job that has to wait may find no partition there", APPLY)


def _partitions_of_queue(at: _Found) -> Difference:
    found, wanted, kind = at.state.partitions, at.spec.partitions, at.spec.kind
    grow = f"{GROW} {queue_of(at.state.name) or 'QUEUE'}"
    if found > wanted and kind is Kind.DLQ:
        # They grow last, and by this command alone: the queue had as many, and now has too few.
        return at.differs(
            Action.REFUSE,
            "a queue never shrinks: keys would lead elsewhere, and jobs and rows stay behind",
            f"fix: declare {found}; if somebody raised the dead letters by hand, declare {found} "
            f"and {grow} --was {wanted}",
        )
    if found > wanted and kind is not Kind.OFFSETS:
        # Nothing of ours writes to the others, and workers serve those that are declared.
        return at.differs(
            Action.LEAVE,
            fix="jobs that others write to the rest wait: "
            f"declare {found}, and if the dead letters have fewer, {grow}",
        )
    # Nothing but a whole multiple can be grown to.
    way = grow if wanted % found == 0 else f"a multiple of {found}, and then {grow}"
    return at.differs(
        Action.REFUSE,
        "jobs would not come back to their own partition, beside their key and their rows",
        f"fix: declare {found}, or {way}",
    )


def _copies(spec: TopicSpec, state: TopicState) -> Difference | None:
    if state.replication >= spec.replication:
        return None
    at = _Found("replication", str(state.replication), str(spec.replication), spec, state)
    return at.differs(
        Action.LEAVE, fix="more copies need kafka-reassign-partitions, which moves data"
    )


def _policy(at: _Found) -> Difference | None:
    found, wanted = _words(at.found), _words(at.wanted)
    if found == wanted:
        return None
    if found - wanted:
        return at.refused(_POLICY_HARM[at.spec.kind])
    if "delete" in wanted - found:
        return at.differs(Action.LEAVE, fix="nothing is ever deleted; set it by hand to change it")
    return at.differs(Action.ALTER)


def _words(text: str) -> set[str]:
    return {word.strip() for word in text.split(",") if word.strip()}


_ONE_PER_KEY = "compaction keeps one job per key and removes the others"
_ROWS_GO = "retention removes rows that are still needed"
_POLICY_HARM = {
    Kind.QUEUE: _ONE_PER_KEY,
    Kind.RUNG: _ONE_PER_KEY,
    Kind.DLQ: "an unknown policy may remove open dead letters",
    Kind.DEDUP: "an unknown policy may remove rows inside the dedup window",
    Kind.OFFSETS: _ROWS_GO,
    Kind.SCHEMAS: _ROWS_GO,
    Kind.SCHEDULES: _ROWS_GO,
    Kind.CONTROL: _ROWS_GO,
}


def _in_sync(at: _Found) -> Difference | None:
    found, copies = int(at.found), at.state.replication
    # The topic may have other copies than the setting asks for, and those it has are what counts.
    at = replace(at, wanted=str(in_sync_for(copies)))
    if found > copies:
        return at.refused(f"with {copies} copies no write can ever be acknowledged")
    if found < in_sync_for(copies):
        return at.differs(Action.ALTER, "an acknowledged job may be on one disk only", APPLY)
    return None


def _retention(at: _Found) -> Difference | None:
    found, wanted = int(at.found), int(at.wanted)
    if found in {FOREVER, wanted}:
        return None
    if found < at.spec.lives_ms:
        return at.refused(_LIFE_HARM[at.spec.kind])
    if found < wanted:
        return at.differs(Action.ALTER)
    return at.differs(Action.LEAVE, fix="lowering it deletes records: do it by hand if meant")


_LIFE_HARM = {
    Kind.RUNG: "a job that waits here is deleted before it leaves",
    Kind.DEDUP: "rows go before the dedup window ends, and settled jobs may run again",
    Kind.CONTROL: "a pause or a cancel is forgotten before it expires",
}


def _must_be(harm: str) -> Callable[[_Found], Difference | None]:
    return lambda at: None if at.found == at.wanted else at.refused(harm)


def _room(at: _Found) -> Difference | None:
    harm = "a retry's copy, which is larger than its job, may not fit"
    return None if int(at.found) >= int(at.wanted) else at.differs(Action.ALTER, harm, APPLY)


def _at_least(at: _Found) -> Difference | None:
    return None if int(at.found) >= int(at.wanted) else at.differs(Action.ALTER)


def _tuned(at: _Found) -> Difference | None:
    return None if at.found == at.wanted else at.differs(Action.ALTER)


RULES: Mapping[str, Callable[[_Found], Difference | None]] = {
    "cleanup.policy": _policy,
    "min.insync.replicas": _in_sync,
    "retention.ms": _retention,
    "message.timestamp.type": _must_be(
        "retention by a producer's clock deletes jobs early, and delays count from the append"
    ),
    "unclean.leader.election.enable": _must_be(
        "a replica that lags may become leader, and acknowledged jobs are gone"
    ),
    "retention.bytes": _must_be("a full partition deletes its oldest records, run or not"),
    "max.message.bytes": _room,
    "delete.retention.ms": _at_least,
}
"""Any other setting of a spec is tuning: made equal, since no value of it loses a record."""
