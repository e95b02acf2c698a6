"""How many partitions the topics of a queue have where its declaration does not say. Pure.

A size belongs to the code, as the count itself does, and is no setting: processes whose
environments differ would write the jobs of one key to different partitions.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from jobstream.errors import ConfigError
from jobstream.job_queue import PARTITIONS
from jobstream_processors.core.ladder import RUNGS

if TYPE_CHECKING:
    from collections.abc import Mapping

SizeName = Literal["small", "standard"]


class Size(NamedTuple):
    """What a queue gets that says nothing of its own."""

    partitions: int
    """Of the queue, its dead letters and its rows."""
    rungs: Mapping[str, int]
    """Of single rungs; the others have as many as the queue."""


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        # A third of the standard count, so that a queue grows to it.
        "small": Size(4, MappingProxyType(dict.fromkeys(RUNGS, 1))),
        "standard": Size(PARTITIONS, MappingProxyType({})),
    }
)


def size_of(name: str) -> Size:
    """The size of that name; raises ConfigError if there is none."""
    try:
        return SIZES[name]
    except (KeyError, TypeError):
        message = f"size={name!r}: choose {' or '.join(map(repr, SIZES))}"
        raise ConfigError(message) from None
