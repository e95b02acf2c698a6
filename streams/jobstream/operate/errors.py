"""What can go wrong while looking at an app from outside; it only names the errors.

InspectError
├── NotThere        no such app, queue, job or dead letter: look at the name
├── GroupBusy       the group has members, who would overwrite what is reset: stop them first
├── LookTooLong     more records than may be read for it: narrow the time, or go without
├── StillWaiting    jobs wait in a queue that is to grow: let them run first
├── GrownMeanwhile  somebody else grows the same queue: let them end first
└── ReadStalled     the broker delivers nothing of what is in the log: may be tried again

None of these is retried and none concerns a running job.
"""

from __future__ import annotations

from jobstream.errors import JobstreamError


class InspectError(JobstreamError):
    """Base of every error raised by `jobstream.operate`."""


class NotThere(InspectError):
    """What was asked for does not exist on this cluster."""


class GroupBusy(InspectError):
    """A consumer group has members, or had some where none may be; the message says what to do."""


class LookTooLong(InspectError):
    """What was asked for stands among more records than the caller wants to have read."""


class StillWaiting(InspectError):
    """Jobs wait in a queue that is to grow; nothing was changed."""


class GrownMeanwhile(InspectError):
    """Somebody else took a step of the growth of a queue; the message says what to do."""


class ReadStalled(InspectError):
    """No record came for a minute although the log holds more."""
