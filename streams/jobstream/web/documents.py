"""Answers as JSON: dataclasses field by field, times in ISO 8601, numbers that JSON can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401 - any answer, any JSON
    """The value as the JSON library can write it."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.value if isinstance(value, Enum) else value
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(name): plain(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return str(value)


def as_json(value: Any) -> bytes:  # noqa: ANN401 - any answer
    """The value as JSON in ASCII, which no text can break out of."""
    return json.dumps(plain(value), separators=(",", ":"), allow_nan=False).encode("ascii")
