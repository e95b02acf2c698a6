"""The exit codes of every command, in one place; `docs/reference/cli.md` lists them."""

from __future__ import annotations

OK = 0
FAILURE = 1
DIFFERS = 2
"""Something is to be done (`topics plan`, `schemas check`), or the command was not understood."""
UNSAFE = 3
"""What is there would break a guarantee; nothing was changed."""
REPLACE = 75
"""The process must be started again (sysexits.h: EX_TEMPFAIL)."""
INTERRUPTED = 130
"""Ended by Ctrl-C (128 + SIGINT)."""
SIGNALLED = 128
"""Plus the number of the signal that ended the command."""
