"""Which build of jobstream runs here: with its hot path compiled, or all in Python."""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec


def build_kind() -> str:
    """`compiled` or `pure`: asked of a module in the middle of the hot path.

    The compiled modules are one library, so one of them speaks for all.
    """
    spec = find_spec("jobstream_processors.engine.way")
    return "compiled" if spec and isinstance(spec.loader, ExtensionFileLoader) else "pure"
