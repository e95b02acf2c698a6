"""`manage.py jobstream …`: the command line of jobstream, for the App of this project."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from django.core.management.base import BaseCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = "jobstream.django.project:app"
_HELP = {"-h", "--help"}


class Command(BaseCommand):  # type: ignore[misc] # Django has no types
    """Puts the program `jobstream` in the place of this one, with this project's settings.

    The process keeps its id, its terminal and its signals. All words go to that program; without
    MODULE:APP it is about the App of JOBSTREAM_APP or TASKS.
    """

    help = "Run a command of jobstream for this project: worker, dev, topics apply, jobs, dlq…"

    def run_from_argv(self, argv: Sequence[str]) -> NoReturn:
        """Run `jobstream` with what stands behind `manage.py jobstream`; does not return."""
        words = list(argv[2:]) or ["--help"]
        # The folder of manage.py, or with `python -m` the working directory.
        paths = [sys.path[0] or str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
        environ = {
            **os.environ,
            "JOBSTREAM_APP": PROJECT,
            "PYTHONPATH": os.pathsep.join(paths),
        }
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, "-m", "jobstream", *words], environ)  # noqa: S606 - our own program
