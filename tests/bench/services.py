"""What services pay for the parts of jobstream that stand in front of their own code or database.

Each measurement is a module beside this one; it is listed here and has `measure(rig)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.report import Figure
    from tests.bench.rig import Rig

MEASUREMENTS = ("keyed_requests", "transactions")
"""Modules of this folder, in the order in which they are measured."""


def measure(rig: Rig) -> Iterator[Figure]:
    """All of them, one after the other."""
    for name in MEASUREMENTS:
        yield from importlib.import_module(f"tests.bench.{name}").measure(rig)
