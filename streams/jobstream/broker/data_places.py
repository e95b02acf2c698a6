"""Where the broker keeps files of this user: jars in the cache, the detached broker in the state.

It reads the environment and answers paths.
"""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Directory for files that can be fetched again.

    `JOBSTREAM_CACHE_DIR`, else `jobstream` under `XDG_CACHE_HOME`, else `~/.cache/jobstream`.
    """
    env = os.environ if environ is None else environ
    if chosen := env.get("JOBSTREAM_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    base = env.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jobstream"


def broker_state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Directory of the detached broker: its data, its logs and its state file.

    `broker` under `JOBSTREAM_STATE_DIR`, else under `jobstream` in `XDG_STATE_HOME`, else under
    `~/.local/state/jobstream`: beside what workers keep.
    """
    env = os.environ if environ is None else environ
    if chosen := env.get("JOBSTREAM_STATE_DIR"):
        return Path(chosen).expanduser().absolute() / "broker"
    base = env.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local/state") / "jobstream" / "broker"
