"""Where partitions that the group assigned begin: asked until it is told, or given up aloud.

A partition that is held in the group and not read is nobody's. So every one that is assigned is
read, is asked about again, or ends the app's reading, which is then started anew.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from jobstream.errors import SourceFailed
from jobstream.views.errors import NotSeen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from jobstream.views.changes import Where
    from jobstream_processors.ports import TopicPartition

    Found = Mapping[TopicPartition, tuple[Where, int]]

STAY_S_MAX = 240.0
"""How long an assignment waits for the database: below the group's own limit for a callback."""
AGAIN_S = 0.5
UNSEEN_AGAIN_S = 2.0
"""How often it is asked about partitions that the cluster does not show."""


class Starts(Protocol):
    """Knows where reading goes on. Called by the thread that reads; may block on the database."""

    def starts(self, wanted: Sequence[TopicPartition], /) -> Found:
        """The next offset to fold of each of these partitions that there is.

        Raises DatabaseAway or a broker's error.
        """

    def out_of_log(self, place: TopicPartition, /) -> int:
        """Where a partition goes on whose next offset is not in its log; counts what is missing."""

    def waits_to_begin(self, error: Exception, /) -> None:
        """Hear that partitions are assigned which are not read."""

    def has_begun(self) -> None:
        """Hear that every partition that is assigned is read."""

    @property
    def stopping(self) -> bool:
        """Whether the process is to leave."""


class Beginnings:
    """The questions of one thread, and what they left open."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self._unseen: set[TopicPartition] = set()
        """Assigned, and not read: the cluster did not show them."""
        self._again_mono = 0.0
        self._nap = threading.Event()

    def of(self, named: Collection[TopicPartition]) -> Found:
        """Where the partitions begin; blocks while the database is away.

        A partition that the cluster does not show is left out, and so are all once the process is
        to leave. Raises SourceFailed where nothing is told for four minutes.
        """
        until = time.monotonic() + STAY_S_MAX
        while named and not self._starts.stopping:
            try:
                found = self._starts.starts(list(named))
            except Exception as error:
                self._starts.waits_to_begin(error)
                if time.monotonic() > until:
                    text = f"{len(named)} partitions could not be begun: {error}"
                    raise SourceFailed(text) from error
                self._nap.wait(AGAIN_S)
            else:
                self._note({*named} - found.keys(), found)
                return found
        return {}

    def of_unseen(self) -> Found:
        """Where those begin that came in sight; asks every two seconds while some are not."""
        if not self._unseen or time.monotonic() < self._again_mono:
            return {}
        self._again_mono = time.monotonic() + UNSEEN_AGAIN_S
        try:
            found = self._starts.starts(sorted(self._unseen))
        except Exception as error:  # noqa: BLE001 - whatever it is: it is asked again
            self._starts.waits_to_begin(error)
            return {}
        self._note(self._unseen, found)
        return found

    def wait_for(self, place: TopicPartition) -> None:
        """Ask about one that was read and can't be read on."""
        self._note({place}, ())

    def forget(self, gone: Collection[TopicPartition]) -> None:
        """These are another's."""
        self._note((), gone)

    def _note(
        self, unseen: Collection[TopicPartition], settled: Collection[TopicPartition]
    ) -> None:
        self._unseen = (self._unseen | {*unseen}) - {*settled}
        if self._unseen:
            self._starts.waits_to_begin(NotSeen(sorted(self._unseen)))
        else:
            self._starts.has_begun()
