"""What the records seen so far tell of one job, in a form that any order of reading gives alike.

Pure. Partitions are read side by side, so a job's row may come before its event, and a letter
before both. Each field is a maximum or a minimum over records, so merging is commutative,
associative and idempotent; what a page shows is derived from the result (`shown.py`).
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, TypeAlias

from jobstream.views.stored_text import to_json
from jobstream_processors.core import known
from jobstream_processors.core.known import Known

Part: TypeAlias = list[Any]
"""One fact, its rank first: a list, as JSON gives it back."""


class Facts(NamedTuple):
    """All that is known of one job. An empty list says nothing. Times are the brokers'."""

    origin: Part = []  # noqa: RUF012 - never written to
    """[at, topic, partition, offset, queue] of its first record on a queue or a rung; the least."""
    event: Part = []  # noqa: RUF012
    """[type, order key, fair key, parent, correlation, unique key, source] as that record says."""
    copy: Part = []  # noqa: RUF012
    """The newest copy: [redrive, seq, at, topic, partition, offset, rung, attempt, due, waits,
    waits since, first failed, awaits code, error, message, frame, fingerprint]."""
    done: Part = []  # noqa: RUF012
    """[-at, -partition, -offset, attempt, redrive, seq, detail, topic, queue, topic id]: the
    first row that says so."""
    ended: Part = []  # noqa: RUF012
    """[redrive, rank, -at, -partition, -offset, attempt, detail, queue] of the end that counts."""
    moved: Part = []  # noqa: RUF012
    """[redrive, seq]."""
    parked: Part = []  # noqa: RUF012
    """[redrive, seq, attempt, due, snoozes, first failed, at]."""
    crashes: Part = []  # noqa: RUF012
    """[redrive, deaths]."""
    letter: Part = []  # noqa: RUF012
    """The newest of its letters or their ends: [redrive, partition, offset, is open, at, attempt,
    reason, error, message, frame, fingerprint, queue]."""
    first: Part = []  # noqa: RUF012
    """[at, topic, partition, offset, topic id] of the first delivery; the least."""
    job_type: str = ""
    """By the fingerprint in a row or a letter: for a job whose event is gone."""

    @property
    def known(self) -> Known:
        """The facts that decide deliveries, as workers merge them."""
        return Known(
            done=bool(self.done),
            ended=(self.ended[0], self.ended[1]) if self.ended else (-1, 0),
            moved=(self.moved[0], self.moved[1]) if self.moved else (-1, -1),
            parked=tuple(self.parked[:6]) if self.parked else (-1, 0, 0, 0, 0, 0),
            crashes=(self.crashes[0], self.crashes[1]) if self.crashes else (-1, 0),
        )

    def merge(self, new: Facts) -> Facts:
        """What both know together."""
        earlier = new.origin and (not self.origin or new.origin < self.origin)
        return Facts(
            origin=new.origin if earlier else self.origin,
            event=new.event if earlier else self.event,
            copy=max(self.copy, new.copy),
            done=max(self.done, new.done),
            ended=max(self.ended, new.ended),
            moved=max(self.moved, new.moved),
            parked=max(self.parked, new.parked),
            crashes=max(self.crashes, new.crashes),
            letter=max(self.letter, new.letter),
            first=least(self.first, new.first),
            job_type=max(self.job_type, new.job_type),
        )

    def text(self) -> str:
        """As it is stored."""
        return to_json(self)


NOTHING = Facts()
_read = json.JSONDecoder().decode


def facts_of(text: str) -> Facts:
    """What `Facts.text` wrote."""
    return Facts(*_read(text))


def least(one: Part, other: Part) -> Part:
    """The earlier of two, where an empty one says nothing."""
    if not one or not other:
        return one or other
    return min(one, other)


def end_state(part: Part) -> str:
    """The terminal state in a fact `ended`."""
    return known.state_of(part[1])
