"""`int`: a whole number of at most 64 bits."""

from __future__ import annotations

from jobstream_schemas.errors import EncodeError
from jobstream_schemas.primitives import LONG_MAX, LONG_MIN, long_bytes, read_long
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.key_text import KeyField
from jobstream_schemas.shapes.leaf import Leaf


def encode_long(value: object) -> bytes:
    """A zig-zag varint; raises `EncodeError`."""
    if type(value) is not int:
        if isinstance(value, bool):
            raise EncodeError.of(value, "an int")
        value = plain_value(value, int, int.__int__, "an int")
    if LONG_MIN <= value <= LONG_MAX:
        return long_bytes(value)
    raise EncodeError.of(value, "an int of at most 64 bits, or declare it as str or Decimal")


def _read_json(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


KIND = Leaf(
    hint=int,
    primitive="long",
    encode=encode_long,
    decode=read_long,
    tell=int.__int__,  # a subclass may have a `repr` of its own
    in_key=KeyField("", int.__repr__),
    read_json=_read_json,
    words="a whole number",
    example=1,
).kind()
