"""The entry point: finds out whether the command line is installed, then hands over to it."""

from __future__ import annotations

import sys
from typing import NoReturn

from jobstream import held_signals
from jobstream.exits import FAILURE

SERVING = frozenset({"worker", "dev", "exporter", "canary", "web"})
"""The commands that run until a signal stops them."""
_NOT_SERVING = [["web", "token"]]
EXTRAS = {
    **dict.fromkeys(("worker", "exporter", "canary"), "worker"),
    **dict.fromkeys(("dev", "broker"), "dev"),
    "web": "web",
    "views": "views",
    "top": "top",
    "relay": "worker,sql",
}
"""Command → the extra that brings all it needs, the command line included; `cli` is enough else."""


def main() -> NoReturn:
    """Run the command in `sys.argv`; ends the process with one of the documented exit codes."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    serves = SERVING.intersection(words[:1]) and words[:2] not in _NOT_SERVING
    if serves and "--once" not in sys.argv:
        from jobstream.cli import first_process  # noqa: PLC0415 - not for other commands
        from jobstream.roles.stop_signals import SIGNALS  # noqa: PLC0415 - as above

        first_process.step_aside()
        SIGNALS.listen()
    held_signals.release()
    try:
        import click  # noqa: F401, PLC0415 - an optional extra
        import rich  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        extra = EXTRAS.get(words[0] if words else "", "cli")
        sys.stderr.write(f"jobstream: {error.name} is missing: pip install 'jobstream[{extra}]'\n")
        sys.exit(FAILURE)
    from jobstream.cli.root import root  # noqa: PLC0415 - needs click

    root.main(prog_name="jobstream")
    raise AssertionError  # pragma: no cover - root.main never returns
