"""A directory of the broker, made when it is needed."""

import os
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
