"""Errors of the read side.

ViewsError
├── DatabaseRefused   the URL, the driver or what stands in the database can't be used
│   ├── DatabaseOlder   an older version made it: run `jobstream views migrate`
│   └── DatabaseNewer   a newer version made it: use that one
├── DatabaseAway      it is locked, full or gone: may be tried again
└── TooSlow           a question took longer than it may: narrow it
"""

from __future__ import annotations

from jobstream.errors import JobstreamError


class ViewsError(JobstreamError):
    """Base of every error raised by `jobstream.views`."""


class DatabaseRefused(ViewsError):
    """The database can't be used as it is; the message says what to do."""


class DatabaseOlder(DatabaseRefused):
    """An older version of jobstream made it."""


class DatabaseNewer(DatabaseRefused):
    """A newer version of jobstream made it."""


class DatabaseAway(ViewsError):
    """It did not answer, or took nothing more; the same call may succeed later."""


class TooSlow(ViewsError):
    """The question was stopped at its time limit; the message says how to narrow it."""
