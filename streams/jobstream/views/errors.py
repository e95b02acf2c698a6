"""Errors of the read side.

ViewsError
├── DatabaseRefused   the URL, the driver or what stands in the database can't be used
│   ├── DatabaseOlder   an older version made it: run `jobstream views migrate`
│   ├── DatabaseNewer   a newer version made it: use that one
│   └── DatabaseTaken   it has another app's jobs: use a database or a schema of its own
├── DatabaseAway      it is locked, full or gone: may be tried again
├── ValueRefused      it does not take a value: narrowed down to the record that has it
├── NotSeen           partitions are assigned that the cluster does not show: asked again
└── TooSlow           a question took longer than it may: narrow it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.errors import JobstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.ports import TopicPartition

NAMED_MAX = 3


class ViewsError(JobstreamError):
    """Base of every error raised by `jobstream.views`."""


class DatabaseRefused(ViewsError):
    """The database can't be used as it is; the message says what to do."""


class DatabaseOlder(DatabaseRefused):
    """An older version of jobstream made it."""


class DatabaseNewer(DatabaseRefused):
    """A newer version of jobstream made it."""


class DatabaseTaken(DatabaseRefused):
    """It has the jobs of another app."""


class DatabaseAway(ViewsError):
    """It did not answer, or took nothing more; the same call may succeed later."""


class ValueRefused(ViewsError):
    """It is there, and will never store this; nothing of the transaction is stored."""


class NotSeen(ViewsError):
    """The group has partitions that the cluster does not show: deleted, or too new."""

    def __init__(self, places: Sequence[TopicPartition]) -> None:
        """Name the first of them."""
        named = [f"{topic} [{partition}]" for topic, partition in sorted(places)]
        more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
        super().__init__(f"{', '.join(named[:NAMED_MAX])}{more}: assigned, and not to be seen")


class TooSlow(ViewsError):
    """The question was stopped at its time limit; the message says how to narrow it."""
