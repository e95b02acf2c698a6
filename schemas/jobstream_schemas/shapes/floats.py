"""`float`: 64 bits. An int is welcome where they can hold it exactly."""

from __future__ import annotations

import math
from dataclasses import MISSING
from decimal import Decimal
from struct import Struct
from typing import Any

from jobstream_schemas.errors import EncodeError
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.key_text import FLOAT, never
from jobstream_schemas.shapes.leaf import Leaf, number_told

_pack = Struct("<d").pack
_unpack = Struct("<d").unpack_from


def _encode(value: object) -> bytes:
    if type(value) is float:
        return _pack(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _pack(_exact(plain_value(value, int, int.__int__, "a float")))
    return _pack(plain_value(value, float, float.__float__, "a float"))


def _exact(value: int) -> float:
    """An int as a float, if a float can hold it: above 2**53 not every one can be."""
    try:
        number = float(value)
    except OverflowError:
        raise EncodeError.of(value, "a number that a 64-bit float can hold") from None
    if number == value:
        return number
    raise EncodeError.of(value, "an int that a 64-bit float can hold exactly, or declare it as int")


def _decode(data: bytes, at: int) -> tuple[float, int]:
    return _unpack(data, at)[0], at + 8


def _default(value: Any) -> object:  # noqa: ANN401 - a number
    return float(value) if math.isfinite(value) else MISSING  # JSON has no other


def _read_json(value: object) -> float:
    if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
        return float(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = float(value)
        if number == value or not math.isinf(number):  # 1e999 is no infinity: those are texts
            return number
    raise ValueError


KIND = Leaf(
    hint=float,
    primitive="double",
    encode=_encode,
    decode=_decode,
    tell=number_told,
    in_key=never(FLOAT),
    default=_default,
    read_json=_read_json,
    words="a number",
    example=1.5,
).kind()
