"""The names of topics and consumer groups: spelled here and nowhere else, and read back for tools.

It never asks a broker; what a topic must be like is said in `specs.py`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from jobstream.errors import ConfigError
from jobstream_processors.core.ladder import RUNGS

NAME_CHARS_MAX = 100
NAME = re.compile(r"[a-z0-9-]+")
APP_WIDE = ("offsets", "schemas", "schedules", "control")
"""Topics of the app itself, so no queue may have these names."""


class Kind(StrEnum):
    """What a topic is for."""

    QUEUE = "queue"
    RUNG = "rung"
    DLQ = "dlq"
    DEDUP = "dedup"
    OFFSETS = "offsets"
    SCHEMAS = "schemas"
    SCHEDULES = "schedules"
    CONTROL = "control"


class TopicName(NamedTuple):
    """A topic's name taken apart; `queue` and `rung` are "" where there is none."""

    app: str
    kind: Kind
    queue: str = ""
    rung: str = ""


def check_name(what: str, name: str) -> str:
    """`name` itself if it can be part of a topic's name; raises ConfigError otherwise."""
    if isinstance(name, str) and len(name) <= NAME_CHARS_MAX and NAME.fullmatch(name):
        return name
    message = (
        f"{what} {name!r} is refused: use 1 to {NAME_CHARS_MAX} of a-z, 0-9 and '-' "
        "(dots and '_' separate the parts of topic and metric names)"
    )
    raise ConfigError(message)


def queue_topic(app: str, queue: str) -> str:
    """The queue itself."""
    return f"{app}.{queue}"


def rung_topic(app: str, queue: str, rung: str) -> str:
    """One rung of the queue's delay ladder."""
    return f"{app}.{queue}.retry.{rung}"


def dlq_topic(app: str, queue: str) -> str:
    """The queue's open dead letters."""
    return f"{app}.{queue}.dlq"


def dedup_topic(app: str, queue: str) -> str:
    """The queue's settlement rows."""
    return f"{app}.{queue}.dedup"


def offsets_topic(app: str) -> str:
    """The mirror of every committed position."""
    return f"{app}.offsets"


def schemas_topic(app: str) -> str:
    """The writer schemas."""
    return f"{app}.schemas"


def control_topic(app: str) -> str:
    """The orders of operators to the workers."""
    return f"{app}.control"


def schedules_topic(app: str) -> str:
    """The schedules: their definitions, how far they have come, and what operators want of them."""
    return f"{app}.schedules"


def worker_group(app: str) -> str:
    """The consumer group of the workers."""
    return app


def delay_group(app: str) -> str:
    """The consumer group of the delayers."""
    return f"{app}.delay"


def schedule_group(app: str) -> str:
    """The consumer group of the schedulers."""
    return f"{app}.scheduler"


def parse(topic: str) -> TopicName | None:
    """The parts of a topic's name, or None if no app of ours can have a topic of that name."""
    app, *rest = topic.split(".")
    if not all(NAME.fullmatch(part) for part in (app, *rest)):
        return None
    match rest:
        case [name] if name in APP_WIDE:
            return TopicName(app, Kind(name))
        case [queue]:
            return TopicName(app, Kind.QUEUE, queue)
        case [queue, "dlq" | "dedup" as kind] if queue not in APP_WIDE:
            return TopicName(app, Kind(kind), queue)
        case [queue, "retry", rung] if queue not in APP_WIDE and rung in RUNGS:
            return TopicName(app, Kind.RUNG, queue, rung)
    return None
