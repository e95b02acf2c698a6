"""Rows of the dedup table, key and value to bytes and back. `usual_row` is faster for most."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from jobstream_schemas.errors import EncodeError
from jobstream_schemas.framing import frame_of
from jobstream_schemas.packaged import PackagedRecord
from jobstream_schemas.primitives import LONG_MAX, long_bytes, text_bytes

RowKind: TypeAlias = Literal["job", "moved", "parked", "crash", "unique", "limit", "claim"]

ROW_FINGERPRINT = bytes.fromhex("a5cdb65ef5978428")
CLAIM_KEY = b"claim"

_INT_MAX = (1 << 31) - 1
_LIMITS = (
    ("redrive", _INT_MAX), ("seq", _INT_MAX), ("attempt", _INT_MAX),
    ("at", LONG_MAX), ("due", LONG_MAX),
)  # fmt: skip
_FRAME = frame_of(ROW_FINGERPRINT)
_RECORD = PackagedRecord("row", "row", ROW_FINGERPRINT, 1_048_576)


class Row(NamedTuple):
    """One row; times are milliseconds since the epoch, `due` 0 for none, `state` "" for none.

    A unique row tells in `state` how the job stands to its unique key, in `due` when a hold
    expires, and in `detail` the rest: `<place>:<end>:<first of its burst>:<key>`. The detail of a
    parked row is `<snoozes>:<first failed>`.
    """

    kind: RowKind
    id: str
    state: str = ""
    redrive: int = 0
    seq: int = 0
    attempt: int = 0
    digest: bytes = b""
    fingerprint: bytes = b""
    at: int = 0
    due: int = 0
    detail: str = ""


def row_key(row: Row) -> bytes:
    """The row's Kafka key: all that tells rows of different strength apart, as text."""
    match row.kind:
        case "job":
            return f"job:{row.id}:{row.state}:{row.redrive}".encode()
        case "moved":
            return f"moved:{row.id}:{row.redrive}:{row.seq}".encode()
        case "parked":
            return f"parked:{row.id}:{row.redrive}:{row.seq}:{row.attempt}".encode()
        case "crash":
            return f"crash:{row.id}:{row.redrive}:{row.attempt}".encode()
        case "unique":
            numbers = f"{row.state}:{row.redrive}:{row.seq}"
            return f"unique:{row.detail}:{row.id}:{numbers}".encode()
        case "limit":
            return row.id.encode()
        case _:
            return CLAIM_KEY


def encode_row(row: Row) -> bytes:
    """The framed value; raises `EncodeError` naming the field."""
    for name in ("digest", "fingerprint"):
        if (size := len(getattr(row, name))) not in {0, 8}:
            message = f"has {size} bytes; it must have 8, or none"
            raise EncodeError(message, f"row.{name}")
    for name, most in _LIMITS:
        if not 0 <= getattr(row, name) <= most:
            message = f"got {getattr(row, name)}; it must be 0 to {most}"
            raise EncodeError(message, f"row.{name}")
    # By hand: a unique or a limited job writes two rows. A test holds it to what the library reads.
    parts = (
        _FRAME,
        text_bytes(row.kind),
        text_bytes(row.id),
        text_bytes(row.state),
        long_bytes(row.redrive),
        long_bytes(row.seq),
        long_bytes(row.attempt),
        _eight(row.digest),
        _eight(row.fingerprint),
        long_bytes(row.at),
        long_bytes(row.due),
        text_bytes(row.detail),
    )
    return b"".join(parts)


def _eight(value: bytes) -> bytes:
    return b"\x10" + value if value else b"\x00"


def decode_row(value: bytes) -> Row:
    """The row in a framed value; raises `DecodeError`, as `UnknownSchema` for another schema."""
    return Row(**_RECORD.decode(value))
