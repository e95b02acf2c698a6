"""Asks the process in this container how it is; exit code 0 if it answers with 200.

The image's HEALTHCHECK: it needs no shell and no curl. It decides nothing, the process does. The
port is read as the process reads it; where that says none, it tells how to give one.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from jobstream.errors import ConfigError
from jobstream.settings import Settings

WAIT_S = 4.0


def main() -> int:
    """Ask for the path given as argument, else for readiness."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/readyz"
    try:
        port = Settings.load().metrics_port
    except ConfigError as error:
        return _failed(str(error))
    if not port:
        found = "off" if port is None else "any free one"
        return _failed(
            f"the port to ask is {found}: set JOBSTREAM_METRICS_PORT to a number, as in 9464, or "
            "switch this health check off"
        )
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S):
            return 0
    except urllib.error.HTTPError as refusal:
        return _failed(refusal.read().decode(errors="replace"))
    except OSError as error:
        return _failed(str(error))


def _failed(reason: str) -> int:
    sys.stdout.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
