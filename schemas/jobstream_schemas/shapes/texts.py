"""`str`: a text."""

from __future__ import annotations

from jobstream_schemas.primitives import read_text, text_bytes
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.key_text import KeyField, quoted
from jobstream_schemas.shapes.leaf import Leaf, from_text


def encode_text(value: object) -> bytes:
    """Length and UTF-8; raises `EncodeError`."""
    if type(value) is str:
        return text_bytes(value)
    return text_bytes(plain_value(value, str, str.__str__, "a str"))


TEXT = Leaf(
    hint=str,
    primitive="string",
    encode=encode_text,
    decode=read_text,
    tell=str.encode,
    in_key=KeyField("", quoted),
    read_json=from_text(str),
    words="a text",
    example="…",
)
KIND = TEXT.kind()
