"""`bool`: true or false, and no number."""

from __future__ import annotations

from jobstream_schemas.errors import DecodeError, EncodeError
from jobstream_schemas.shapes.key_text import KeyField
from jobstream_schemas.shapes.leaf import Leaf


def _encode(value: object) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise EncodeError.of(value, "a bool")


def _decode(data: bytes, at: int) -> tuple[bool, int]:
    byte = data[at]
    if byte > 1:
        message = f"boolean {byte} at byte {at}"
        raise DecodeError(message)
    return byte == 1, at + 1


def _read_json(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


KIND = Leaf(
    hint=bool,
    primitive="boolean",
    encode=_encode,
    decode=_decode,
    tell=bool,
    in_key=KeyField("", lambda value: "true" if value else "false"),
    read_json=_read_json,
    words="true or false",
    example=True,
).kind()
