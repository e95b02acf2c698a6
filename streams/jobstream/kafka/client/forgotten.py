"""Lets go of what the client library forgets to let go of: the id of each topic that it describes.

confluent-kafka 2.16 makes an object of the id, gives it to the description and keeps a reference
that nobody can reach: 145 bytes for each topic and question, for ever. A worker asks for its
topics' ids every two seconds, so one with 20 queues grew by a gigabyte a day.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from confluent_kafka import Uuid
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    TopicDescription,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

FORGETS = frozenset({"2.16.0", "2.16.1"})
"""Versions that were seen to do it. In no other one is anything let go: it may have been mended."""


def let_go(described: Iterable[TopicDescription]) -> None:
    """Release the forgotten reference of each; to be called once with what was just answered."""
    if not _forgets():
        return
    ours = TopicDescription("", Uuid(0, 0), is_internal=False, partitions=[])
    usual = _references(ours)
    for description in described:
        if isinstance(description.topic_id, Uuid) and _references(description) == usual + 1:
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(description.topic_id))


@cache
def _forgets() -> bool:
    from importlib.metadata import version  # noqa: PLC0415 - 1 MB that no producer needs

    return version("confluent-kafka") in FORGETS


def _references(description: Any) -> int:  # noqa: ANN401 - a TopicDescription
    """How many there are to its id, those of this very question included."""
    return sys.getrefcount(description.topic_id)
