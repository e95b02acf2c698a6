"""An enum and a record that stand within args of every type."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Colour(Enum):
    RED = 1
    BLUE = "b"


@dataclass(frozen=True)
class Line:
    sku: str
    count: int = 1
