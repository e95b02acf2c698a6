"""Who gives an order, where it is not said: the user of this process, and its machine."""

from __future__ import annotations

import getpass
import platform


def myself() -> str:
    """`user@host` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        user = "unknown"
    return f"{user}@{platform.node()}"
