"""How a value says which schema wrote it: a prefix of marker and reference.

Here it is Avro single-object encoding (Avro 1.12 specification, "Single-object encoding"): two
marker bytes, then the little-endian CRC-64-AVRO fingerprint of the schema's canonical form, and of
what that leaves out of the args' meaning.
Confluent's wire format (a zero byte, then a registry's 4-byte id) is recognised, so that its
values are known as ones whose schema is missing, not as garbage.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from jobstream_schemas.errors import DecodeError, shown
from jobstream_schemas.meanings import meanings

if TYPE_CHECKING:
    from jobstream_schemas.avro_json import Json

FINGERPRINT_BYTES = 8
SINGLE_OBJECT_MARKER = b"\xc3\x01"
SINGLE_OBJECT_PREFIX_BYTES = 10

_CONFLUENT_MAGIC = 0
_CONFLUENT_PREFIX_BYTES = 5


def frame_of(fingerprint: bytes) -> bytes:
    """Marker and fingerprint; `ValueError` unless the fingerprint has 8 bytes."""
    if len(fingerprint) != FINGERPRINT_BYTES:
        message = f"fingerprint {fingerprint!r} has {len(fingerprint)} bytes; it must have 8"
        raise ValueError(message)
    return SINGLE_OBJECT_MARKER + fingerprint


def split_frame(value: bytes) -> tuple[bytes, int]:
    """An 8-byte fingerprint or a 4-byte registry id, and the record's position.

    Proves nothing about the bytes after it. Raises `DecodeError` for any other prefix.
    """
    if value[:2] == SINGLE_OBJECT_MARKER and len(value) >= SINGLE_OBJECT_PREFIX_BYTES:
        return value[2:10], SINGLE_OBJECT_PREFIX_BYTES
    if len(value) >= _CONFLUENT_PREFIX_BYTES and value[0] == _CONFLUENT_MAGIC:
        return value[1:5], _CONFLUENT_PREFIX_BYTES
    message = (
        f"value of {len(value)} bytes begins with {shown(value[:10])}: that is not a schema marker"
    )
    raise DecodeError(message)


def schema_fingerprint(schema: Json) -> bytes:
    """CRC-64-AVRO of the Parsing Canonical Form, 8 bytes, little-endian.

    The canonical form leaves out logical types, so a decimal of scale 2 and one of scale 3, or an
    int and an instant, would have one fingerprint, and a reader would take the one for the other.
    Those of a job's args are therefore put behind it, as sorted JSON, if there are any. Defaults,
    docs and properties are not seen.
    """
    canonical = to_parsing_canonical_form(schema)
    parsed = parse_schema(schema)
    told = sorted(
        (path, leaf.logical)
        for path, found in meanings(parsed, "").items()
        for leaf in found
        if leaf.logical and path.startswith(".args")
    )
    if told:
        canonical += json.dumps(told, separators=(",", ":"))
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))
