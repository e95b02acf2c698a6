"""The entry point: finds out whether the command line is installed, then hands over to it."""

from __future__ import annotations

import sys
from typing import NoReturn

from jobstream.cli.exits import FAILURE


def main() -> NoReturn:
    """Run the command in `sys.argv`; ends the process with one of the documented exit codes."""
    try:
        import click  # noqa: F401, PLC0415 - an optional extra
        import rich  # noqa: F401, PLC0415 - likewise
    except ImportError as error:
        sys.stderr.write(f"jobstream: {error.name} is missing: pip install jobstream[cli]\n")
        sys.exit(FAILURE)
    from jobstream.cli.root import root  # noqa: PLC0415 - needs click

    root.main(prog_name="jobstream")
    raise AssertionError  # pragma: no cover - root.main never returns
