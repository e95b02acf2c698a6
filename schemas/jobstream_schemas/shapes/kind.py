"""How a kind of type is recognised where a field declares it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from jobstream_schemas.shapes.shape import Shape


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """Where the type stands that is being read: the field, and the classes around it."""

    field: str
    outer: tuple[type, ...]
    read: Callable[[object, FieldPlace], Shape]

    def shape(self, hint: object) -> Shape:
        """The shape of a type within; raises `UnsupportedType` or `SchemaRefused`."""
        return self.read(hint, self)

    def within(self, cls: type, field: str) -> FieldPlace:
        """The place of a field of a class that stands here."""
        return replace(self, field=f"{cls.__name__}.{field}", outer=(*self.outer, cls))


class TypeKind(NamedTuple):
    """How a kind is declared, in words, and the function from a type to its shape.

    The function returns None for a type of another kind.
    """

    spelled: str
    of: Callable[[object, FieldPlace], Shape | None]
