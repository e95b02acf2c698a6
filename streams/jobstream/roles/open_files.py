"""How many files a worker may have open, and what it needs: settled before the first is missing.

A table of a partition keeps six files open, and those that hold its rows. The usual limit of 1,024
is a soft one, there for old programs; the hard limit is what an operator has set.
"""

from __future__ import annotations

import logging
import resource

from jobstream.errors import ConfigError

log = logging.getLogger("jobstream.roles")

WANTED = 65_536
"""A soft limit above it is left alone, and none above it is asked for."""
PROCESS_FILES = 128
"""Connections, pipes and logs of a worker that owns nothing. Handlers come on top."""
SHARD_FILES = 6
"""Of a table at rest: its lock, log, manifest, write-ahead log and two folders."""
ROW_FILES_LEAST, ROW_FILES_MOST = 10, 500
"""Files with rows that a table keeps open at once; it opens others when it looks into them."""


def raised_for(shards: int) -> int:
    """Raise the soft limit as far as allowed; how many files with rows each shard may keep open.

    `shards` is how many tables this process may come to hold. Raises ConfigError with the number
    needed if the hard limit is below it.
    """
    soft, hard = (_finite(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    needed = PROCESS_FILES + shards * (SHARD_FILES + ROW_FILES_LEAST)
    if hard < needed:
        message = (
            f"{shards} partitions may come to this process, which then needs {needed} open files; "
            f"its hard limit is {hard}: raise that (LimitNOFILE= of systemd, ulimits of Docker, "
            "ulimit -Hn), or serve fewer queues with --queues"
        )
        raise ConfigError(message)
    limit = soft if soft >= WANTED else min(hard, WANTED)
    if limit > soft:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )
        log.debug("open_files_raised", extra={"before": soft, "now": limit})
    # Half of what is left belongs to handlers, and to tables that are just being closed.
    each = (limit - PROCESS_FILES) // (2 * max(shards, 1)) - SHARD_FILES
    return max(ROW_FILES_LEAST, min(ROW_FILES_MOST, each))


def _finite(limit: int) -> int:
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit
