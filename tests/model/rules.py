"""The rules of settlement, each one replaceable, so that the explorer can be asked what it is for.

The defaults are the product's own: the classes that settle and take over, run in their own order,
and its functions. What has no function that could be called here (who commits what when, in which
order delayer and redriver work) is stated as the order it must keep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.core import letters
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.known import Known
from jobstream_processors.settle.settler import Settler

if TYPE_CHECKING:
    from jobstream_processors.core.watermark import Watermark


class Committable(Protocol):
    """What a worker commits."""

    def __call__(self, mark: Watermark, unfinished: frozenset[int]) -> int:
        """The next offset to read after a restart."""


def watermark(mark: Watermark, unfinished: frozenset[int]) -> int:  # noqa: ARG001 - shape of the rule
    return mark.position


def own_key(key: bytes) -> bytes:
    return key


def as_decided(before: Carried, after: Carried) -> Carried:  # noqa: ARG001 - shape of the rule
    return after


@dataclass(frozen=True, slots=True)
class Rules:
    """One set of rules; a mutation replaces one of them."""

    settler: type[Settler] = Settler
    takeover: type[Takeover] = Takeover
    committable: Committable = watermark
    restored: Callable[[Known], Known] = lambda found: found
    """What a new owner knows before its first run, from what the topic tells."""
    absorbs: Callable[[Known, int, int], str | None] = Known.absorbs
    row_key: Callable[[bytes], bytes] = own_key
    retried: Callable[[Carried, Carried], Carried] = as_decided
    """The headers of a retry's copy, from the delivery's and the decided one."""
    redriven: Callable[[Carried], Carried] = letters.redriven
    is_stale: Callable[[Known, int], bool] = letters.is_stale
    gap_stops: bool = True
    """A process that sees a gap in its clock longer than its session does nothing more."""
    hop_copy_first: bool = True
    redrive_copy_first: bool = True


RULES = Rules()
