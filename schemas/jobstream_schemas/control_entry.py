"""An entry of the control topic, to bytes and back; decides nothing about what is in force."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import schemaless_reader, schemaless_writer

from jobstream_schemas.errors import DecodeError, EncodeError, UnknownSchema
from jobstream_schemas.framing import SINGLE_OBJECT_MARKER, SingleObject
from jobstream_schemas.packaged import packaged
from jobstream_schemas.reader import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_schemas.derive import Json

CONTROL_FINGERPRINT = bytes.fromhex("8df52bbfafe12775")

_FRAME = SINGLE_OBJECT_MARKER + CONTROL_FINGERPRINT
_CONTROL_BYTES_MAX = 16_384


class ControlRecord(NamedTuple):
    """What one entry says. When it was said is the record's append time, so not in here.

    `limits` is for kinds to come: numbers by name, empty for all kinds so far.
    """

    kind: str
    subject: str
    who: str
    why: str
    lasts_ms: int
    limits: Mapping[str, int]


def control_key(kind: str, subject: str) -> bytes:
    """The Kafka key: one entry per kind and subject, so a newer one takes an older one's place."""
    return f"{kind}:{subject}".encode()


def encode_control(control: ControlRecord) -> bytes:
    """The framed value; raises `EncodeError` for a value that has no Avro form or is too long."""
    stream = BytesIO()
    stream.write(_FRAME)
    try:
        schemaless_writer(stream, _plain_control(), control._asdict(), strict=True)
    except Exception as error:
        message = f"a valid control entry ({type(error).__name__}: {error})"
        raise EncodeError.of(control, message) from error
    value = stream.getvalue()
    if len(value) > _CONTROL_BYTES_MAX:
        raise EncodeError.of(control, f"a control entry of at most {_CONTROL_BYTES_MAX} bytes")
    return value


def decode_control(value: bytes) -> ControlRecord:
    """The entry in a framed value; raises `DecodeError`, `UnknownSchema` for another schema."""
    if not value.startswith(_FRAME):
        reference, _ = SingleObject().split(value)
        known = CONTROL_FINGERPRINT.hex()
        message = f"control entry of schema {reference.hex()}, known is {known}"
        raise UnknownSchema(message, reference)
    if len(value) > _CONTROL_BYTES_MAX:
        message = f"control entry has {len(value)} bytes, the cap is {_CONTROL_BYTES_MAX}"
        raise DecodeError(message)
    stream = BytesIO(value)
    stream.seek(len(_FRAME))
    try:
        record: Any = schemaless_reader(stream, _plain_control(), None)
    except Exception as error:
        message = f"control entry cannot be read: {type(error).__name__}: {error}"
        raise DecodeError(message) from error
    if (left := len(value) - stream.tell()) != 0:
        message = f"control entry: {left} bytes are left over"
        raise DecodeError(message)
    return ControlRecord(**record)


@cache
def _plain_control() -> Json:
    return plain(packaged("control"))
