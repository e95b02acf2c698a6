"""What a scheduler needs of the app's code: calendars and jobs of definitions. A port."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from jobstream_processors.core.ticks import Calendar
    from jobstream_processors.ports import Outgoing, TopicPartition
    from jobstream_schemas import ScheduleRecord


UNKNOWN_TYPE, UNKNOWN_SCHEMA, ARGS = "unknown_type", "unknown_schema", "args"
CALENDAR, NEWER, UNDECLARED = "calendar", "newer", "undeclared"
"""Why a schedule can't fire here: its job type or the schema of its args is not known, its args do
not fit the type, its calendar can't be made, another version wrote it, the code has dropped it."""


class Made(NamedTuple):
    """A job that is to be published."""

    record: Outgoing
    rows: TopicPartition
    """Where the row will stand that settles it."""


class TickMaker(Protocol):
    """Makes calendars and jobs of definitions, as far as this code can."""

    def calendar(self, definition: ScheduleRecord) -> Calendar:
        """Its calendar; raises ScheduleBroken where this code can't fire the schedule at all."""

    def job(self, definition: ScheduleRecord, job_id: str, tick_ms: int) -> Made:
        """The job of a tick; raises ScheduleBroken."""
