"""JSON Schemas (2020-12) of the dataclasses that calls take and answer, collected by name."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from dataclasses import Field

Schema = dict[str, Any]
_PLAIN: dict[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    type(None): {"type": "null"},
    Any: {},
}
_NAMES = {"datetime": datetime, "Mapping": Mapping}
"""What exported classes name: they say that they are of `jobstream`, which has not all of it."""
REF = "#/components/schemas/"


class Schemas:
    """Every class that was described so far; `components` holds them by name."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, hint: Any, *, taken: bool = False) -> Schema:  # noqa: ANN401 - any type
        """The schema of a type. `taken`: of what a call takes, where a field may be left out."""
        if hint in _PLAIN:
            return dict(_PLAIN[hint])
        if is_dataclass(hint) and isinstance(hint, type):
            return self._named(hint, taken=taken)
        origin, given = get_origin(hint), get_args(hint)
        if origin in {Union, types.UnionType}:
            return {"anyOf": [self.of(each, taken=taken) for each in given]}
        if origin is Literal:
            return {"enum": list(given)}
        if origin in {tuple, list}:
            return {"type": "array", "items": self.of(given[0], taken=taken)}
        if origin in {dict, Mapping}:
            return {"type": "object", "additionalProperties": self.of(given[1], taken=taken)}
        message = f"{hint!r} has no schema"
        raise TypeError(message)

    def _named(self, cls: type, *, taken: bool) -> Schema:
        if cls.__name__ not in self.components:
            self.components[cls.__name__] = {}  # It may stand within itself.
            self.components[cls.__name__] = self._object(cls, taken=taken)
        return {"$ref": REF + cls.__name__}

    def _object(self, cls: type, *, taken: bool) -> Schema:
        hints = get_type_hints(cls, localns=_NAMES)
        made: Schema = {
            "type": "object",
            "description": (cls.__doc__ or "").strip(),
            "properties": {
                of.name: self.of(hints[of.name], taken=taken) | bounds(of) for of in fields(cls)
            },
            "additionalProperties": False,
        }
        needed = [of.name for of in fields(cls) if not taken or not has_default(of)]
        return made | ({"required": needed} if needed else {})


def has_default(of: Field[Any]) -> bool:
    """Whether the field may be left out."""
    return of.default is not MISSING or of.default_factory is not MISSING


def bounds(of: Field[Any]) -> Schema:
    """What the field's metadata say of its size."""
    told = {"least": "minimum", "most": "maximum"}
    return {told[name]: value for name, value in of.metadata.items() if name in told}
