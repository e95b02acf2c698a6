"""What can be wrong between a job and the user's own database.

ConfigError
├── NotInTransaction   the call would be committed by itself, apart from the user's rows
├── OnceUnasked        the block of `once` ran without asking whether it may
├── TablesMissing      the tables were never made here
└── WrongDatabase      a URL, or a handle, that is none of those we can work with
JobstreamError
└── Superseded         a newer owner of the job's partition has written here before
"""

from __future__ import annotations

from jobstream.errors import ConfigError, JobstreamError


class NotInTransaction(ConfigError):
    """The connection commits each statement by itself, so nothing would belong together."""


class OnceUnasked(ConfigError):
    """A block of `once` ended without asking whether it is the first run. Rolled back."""


class TablesMissing(ConfigError):
    """The tables of jobstream are not in this database; the message says how to make them."""


class WrongDatabase(ConfigError):
    """What was given is no database, session or connection that jobstream.sql works with."""


class Superseded(JobstreamError):
    """Another worker owns the job's partition by now and has written here. Rolled back.

    The run of this worker can't be settled any more; the other one runs the job, or has done so.
    """
