"""`uuid.UUID`: its usual text."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from jobstream_schemas.primitives import read_text, text_bytes
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.key_text import KeyField
from jobstream_schemas.shapes.leaf import Leaf, from_text


def _encode(value: object) -> bytes:
    if type(value) is not UUID:
        value = plain_value(value, UUID, lambda each: UUID(int=each.int), "a uuid.UUID")
    return text_bytes(str(value))


def _told(value: Any) -> bytes:  # noqa: ANN401 - a UUID
    return str(value).encode()


KIND = Leaf(
    hint=UUID,
    primitive="string",
    logical="uuid",
    encode=_encode,
    decode=read_text,
    make=UUID,
    tell=_told,
    in_key=KeyField("", lambda value: f'"{value}"'),
    default=str,
    read_json=from_text(UUID),
    words="a UUID",
    example="00000000-0000-4000-8000-000000000000",
).kind()
