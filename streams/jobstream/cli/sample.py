"""An example of a job's args as JSON, made up from the declared types. Pure."""

from __future__ import annotations

from typing import Any, assert_never

from jobstream_schemas.shape_of import record_of
from jobstream_schemas.shapes import (
    DecimalSpec,
    EnumOf,
    ListOf,
    LiteralOf,
    Logical,
    MapOf,
    OptionalOf,
    RecordOf,
    Scalar,
    Shape,
    TupleOf,
)

_SCALARS: dict[str, Any] = {
    "string": "…",
    "long": 1,
    "double": 1.5,
    "boolean": True,
    "bytes": "AAAA",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date": "2026-01-31",
    "datetime": "2026-01-31T12:00:00Z",
}


def sample_args(cls: type) -> dict[str, Any]:
    """Values of the right types for every field of the dataclass, as `enqueue` takes them."""
    found: dict[str, Any] = _sample(record_of(cls))
    return found


def _sample(shape: Shape) -> Any:  # noqa: ANN401 - any JSON
    match shape:
        case Scalar(kind) | Logical(kind):
            return _SCALARS[kind]
        case DecimalSpec(_, scale):
            return "1." + "0" * scale if scale else "1"
        case EnumOf(cls):
            return next(iter(cls)).name
        case LiteralOf(values):
            return values[0]
        case ListOf(item) | TupleOf(item):
            return [_sample(item)]
        case MapOf(item):
            return {"…": _sample(item)}
        case OptionalOf(item):
            return _sample(item)
        case RecordOf(_, fields):
            return {field.name: _sample(field.shape) for field in fields}
        case _:
            assert_never(shape)
