"""Asks the process in this container how it is; exit code 0 if it answers with 200.

The image's HEALTHCHECK: it needs no shell and no curl. It decides nothing, the process does.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

WAIT_S = 4.0


def main() -> int:
    """Ask for the path given as argument, else for readiness."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/readyz"
    port = os.environ["JOBSTREAM_METRICS_PORT"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S):
            return 0
    except urllib.error.HTTPError as refusal:
        sys.stdout.write(refusal.read().decode(errors="replace"))
    except OSError as error:
        sys.stdout.write(f"{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
