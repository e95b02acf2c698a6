"""A shape whose records build nothing: to tell whether values fit a class without calling it."""

from __future__ import annotations

from dataclasses import replace

from jobstream_schemas.shapes import ListOf, MapOf, OptionalOf, RecordOf, Shape, TupleOf


class _Hollow:
    """Takes any values and keeps none."""

    def __init__(self, **_: object) -> None:
        pass


def hollow(shape: RecordOf) -> RecordOf:
    """The same record with stand-ins of the same names for its classes."""
    fields = tuple(replace(field, shape=_hollow(field.shape)) for field in shape.fields)
    return RecordOf(type(shape.cls.__name__, (_Hollow,), {}), fields)


def _hollow(shape: Shape) -> Shape:
    match shape:
        case RecordOf():
            return hollow(shape)
        case ListOf(item) | TupleOf(item) | OptionalOf(item):
            return replace(shape, item=_hollow(item))
        case MapOf(value):
            return MapOf(_hollow(value))
        case _:
            return shape
