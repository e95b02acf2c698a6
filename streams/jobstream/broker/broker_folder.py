"""A directory of the broker, made when it is needed, and a lock between processes in one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobstream.broker.errors import BrokerDirectoryError


def made(directory: Path) -> Path:
    """The directory, which exists now and can be written to; raises `BrokerDirectoryError`."""
    why = "not writable"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
    if not (directory.is_dir() and os.access(directory, os.W_OK)):
        message = (
            f"{directory}: {why}; name a writable local directory: JOBSTREAM_STATE_DIR for data "
            "and logs, JOBSTREAM_CACHE_DIR for what is downloaded"
        )
        raise BrokerDirectoryError(message)
    return directory


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; blocks without limit while another process holds it.

    The kernel frees it with its holder, however that dies. The file stays: one removed under a
    waiter would let two holders in. Raises `BrokerDirectoryError` where the
    directory is not writable.
    """
    with (made(path.parent) / path.name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
