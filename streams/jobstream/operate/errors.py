"""Errors of commands that look at an app from outside.

InspectError
├── NotThere        no such app, queue, job or dead letter: look at the name
├── GroupBusy       the group has members, who would overwrite what is reset: stop them first
├── LookTooLong     more records than may be read for it: narrow the time, or go without
├── StillWaiting    jobs wait in a queue that is to grow: let them run first
├── GrownMeanwhile  another command grows the same queue: let it finish first
├── TrialFailed     the last redrive of this cause failed: mend it and try one first, or force it
├── CannotFix       the job can't be corrected like this; nothing was written
├── BadLines        a file to import holds what is no dead letter of the app; nothing was written
└── ReadStalled     the broker delivers nothing of what is in the log: may be tried again

None of these is retried and none concerns a running job.
"""

from __future__ import annotations

from jobstream.errors import JobstreamError


class InspectError(JobstreamError):
    """Base of every error raised by `jobstream.operate`."""


class NotThere(InspectError):
    """The app, queue, job or letter does not exist on this cluster."""


class GroupBusy(InspectError):
    """A consumer group has members, or had some where none may be; the message says what to do."""


class LookTooLong(InspectError):
    """The answer stands among more records than the caller allows to read."""


class StillWaiting(InspectError):
    """Jobs wait in a queue that is to grow; nothing was changed."""


class GrownMeanwhile(InspectError):
    """Another command took a step of the growth of a queue; the message says what to do."""


class TrialFailed(InspectError):
    """The last redrive of a cause failed, so the rest is not redriven; nothing was changed."""


class CannotFix(InspectError):
    """A dead job can't be corrected as was asked for; the message says why and what to do."""


class BadLines(InspectError):
    """Lines of a file are no dead letters of the app; nothing was written."""


class ReadStalled(InspectError):
    """No record came for a minute although the log holds more."""
