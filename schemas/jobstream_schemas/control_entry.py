"""An entry of the control topic, to bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream_schemas.errors import EncodeError
from jobstream_schemas.packaged import PackagedRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTROL_FINGERPRINT = bytes.fromhex("8df52bbfafe12775")

_CONTROL_BYTES_MAX = 16_384
_RECORD = PackagedRecord("control", "control entry", CONTROL_FINGERPRINT, _CONTROL_BYTES_MAX)


class ControlRecord(NamedTuple):
    """What one entry says. When it was said is the record's append time, so not in here.

    `limits` holds numbers by name, for kinds that have some.
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
    value = _RECORD.encode(control, control._asdict())
    if len(value) > _CONTROL_BYTES_MAX:
        raise EncodeError.of(control, f"a control entry of at most {_CONTROL_BYTES_MAX} bytes")
    return value


def decode_control(value: bytes) -> ControlRecord:
    """The entry in a framed value; raises `DecodeError`, `UnknownSchema` for another schema."""
    return ControlRecord(**_RECORD.decode(value))
