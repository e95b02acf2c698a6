"""One exclusive lock between processes, kept by the kernel on an open file.

The lock ends with its holder, however that process dies, so no stale lock can exist. It never
removes the lock file: a file removed under a waiter would let two holders in.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobstream.broker.broker_folder import made


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; blocks without limit while another process holds it.

    The holder's death frees it at once. Raises `BrokerDirectoryError` where the
    directory is not writable.
    """
    with (made(path.parent) / path.name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
