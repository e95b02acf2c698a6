"""JSON values turned into a job's args dataclass, by its declared types; errors name each field.

The forms are those that `dlq show` prints: bytes as base64, decimals, dates, times and UUIDs as
text, enum members by name, `NaN` and `Infinity` as texts.
"""

from __future__ import annotations

from typing import Any

from jobstream.errors import ConfigError
from jobstream_schemas import JsonMisfit
from jobstream_schemas.shapes.declared import record_of


def args_from(cls: type, value: object) -> Any:  # noqa: ANN401 - an instance of `cls`
    """An instance of the dataclass `cls`; raises ConfigError naming every wrong field."""
    try:
        return record_of(cls).from_json(value, cls.__name__)
    except JsonMisfit as misfit:
        raise ConfigError(str(misfit)) from misfit.__cause__


def sample_args(cls: type) -> dict[str, Any]:
    """Values of the right types for every field of the dataclass, as `enqueue` takes them."""
    return record_of(cls).sample()
