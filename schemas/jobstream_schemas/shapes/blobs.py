"""`bytes`: base64 text in JSON."""

from __future__ import annotations

import base64

from jobstream_schemas.errors import DecodeError
from jobstream_schemas.primitives import long_bytes, read_long
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.leaf import Leaf, from_text


def encode_bytes(value: object) -> bytes:
    """Length and bytes; raises `EncodeError`."""
    if type(value) is not bytes:
        value = plain_value(value, bytes, bytes.__bytes__, "bytes")
    return long_bytes(len(value)) + value


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes, and where the next value begins; raises `DecodeError`."""
    size, at = read_long(data, at)
    if size < 0:
        message = f"length {size} at byte {at}"
        raise DecodeError(message)
    return data[at : at + size], at + size


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


KIND = Leaf(
    hint=bytes,
    primitive="bytes",
    encode=encode_bytes,
    decode=read_bytes,
    tell=bytes.__bytes__,  # a subclass may have a `repr` of its own
    default=lambda value: value.decode("latin-1"),
    read_json=from_text(_from_base64),
    words="base64 text",
    example="AAAA",
).kind()
