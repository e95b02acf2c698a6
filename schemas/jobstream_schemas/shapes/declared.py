"""Reads a dataclass into its shape; refuses by name what has none."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Annotated, Any, NewType, NoReturn, get_args, get_origin

from jobstream_schemas.errors import UnsupportedType
from jobstream_schemas.shapes import (
    blobs,
    booleans,
    data_classes,
    days,
    decimals,
    enums,
    floats,
    instants,
    integers,
    literals,
    maps,
    optionals,
    sequences,
    texts,
    uuids,
)
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind

if TYPE_CHECKING:
    from jobstream_schemas.shapes.shape import Shape

KINDS: tuple[TypeKind, ...] = tuple(
    each.KIND
    for each in (
        texts, integers, floats, booleans, blobs, uuids, decimals, days, instants, enums,
        data_classes, optionals, sequences, maps, literals,
    )
)  # fmt: skip
"""Every kind of type. A class may be of two, as an enum of dataclasses is: the first one counts."""

_INSTEAD: dict[object, str] = {
    list: "list[T] with an item type",
    tuple: "tuple[T, ...] with an item type",
    dict: "dict[str, T] with a value type",
    set: "list[T]",
    frozenset: "tuple[T, ...]",
    object: "a concrete type",
    Any: "a concrete type",
    complex: "two float fields",
}


def record_of(cls: type) -> data_classes.RecordOf:
    """Read a dataclass; raises `UnsupportedType`, or `SchemaRefused` where it contains itself."""
    return data_classes.record_of(cls, FieldPlace("", (), _shape_of))


def _shape_of(hint: object, place: FieldPlace) -> Shape:
    found = (kind.of(hint, place) for kind in KINDS)
    if (shape := next(filter(None, found), None)) is not None:
        return shape
    if isinstance(hint, NewType):
        return _shape_of(hint.__supertype__, place)
    if get_origin(hint) is Annotated:
        return _shape_of(get_args(hint)[0], place)
    return _refuse(hint, place.field)


def _refuse(hint: object, where: str) -> NoReturn:
    told = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    *most, last = (kind.spelled for kind in KINDS)
    instead = _INSTEAD.get(hint) if isinstance(hint, Hashable) else None
    fix = instead or f"{', '.join(most)} or {last}"
    message = f"{where}: type {told} is not supported; use {fix}"
    raise UnsupportedType(message)
