"""A directory of the broker, made when it is needed, and a lock between processes in one."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobstream.broker.errors import BrokerDirectoryError
from jobstream.file_lock import try_lock

_ENDING_S = 2.0
"""A broker whose program was killed ends within this."""
_POLL_S = 0.05


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


def claimed(directory: Path) -> int:
    """The descriptor that holds the directory for one cluster, for as long as any process has it.

    To be handed to the brokers, so that the claim lasts until the last of them is gone. Kafka's own
    lock is no such claim: a second broker repairs the log of a first one that runs, which kills
    that, before it looks at the lock. Blocks for two seconds at most while another cluster has it,
    which may be ending, then raises `BrokerDirectoryError`.
    """
    until_s = time.monotonic() + _ENDING_S
    while (descriptor := try_lock(directory / "in-use", os.O_CREAT)) is None:
        if time.monotonic() > until_s:
            message = (
                f"{directory} is locked: a broker that runs uses it; stop that one "
                "(`jobstream broker down`, if it was left running), or name another directory"
            )
            raise BrokerDirectoryError(message)
        time.sleep(_POLL_S)
    return descriptor


def give_up_claim(descriptor: int) -> None:
    """End a claim, also for processes that have copies of the descriptor."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


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
