"""`meta`, the half of a job event that is the same for every type, to bytes and back by hand.

The hand-written form is about three times as fast as the library's and equal to it on the wire; it
reads only the layout of `avro/meta.avsc`. Other layouts are resolved by the library (`reader`).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from jobstream_schemas.errors import DecodeError, EncodeError
from jobstream_schemas.primitives import (
    SIX_BYTES_MARKED,
    SIX_BYTES_MARKS,
    read_long,
    read_millis,
    read_text,
    six_bytes_long,
)
from jobstream_schemas.shapes.integers import encode_long as _long
from jobstream_schemas.shapes.texts import encode_text as _text
from jobstream_schemas.wire_names import is_id

_ID_RULE = "1 to 128 letters, digits, '.', '_' or '-'"
_USUAL_ID_SIZE = 36 << 1
_USUAL_BYTES_MIN = 59
_ID_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
_from_bytes = int.from_bytes
_NO_KEYS = b"\x00" * 5
_NO_OTHERS = b"\x00" * 4
_ABSENT, _THERE = b"\x00", b"\x02"
_PRESENT = 2


class Meta(NamedTuple):
    """What is the same for every job. `enqueued_at` is by the producer's clock, epoch milliseconds.

    `expires_in_ms` counts from the job's first append by the broker's clock, so that no producer's
    clock decides when a job expires.
    """

    id: str
    enqueued_at: int
    source: str
    order_key: str | None = None
    unique_key: str | None = None
    expires_in_ms: int | None = None
    parent_id: str | None = None
    correlation_id: str | None = None


MetaFields: TypeAlias = tuple[
    str, int, str, str | None, str | None, int | None, str | None, str | None
]


def encode_meta(meta: Meta) -> bytes:
    """The Avro bytes of `meta`; raises `EncodeError` naming the field, value and fix."""
    id_, enqueued_at, source, order_key, unique_key, expires_in_ms, parent_id, correlation_id = meta
    try:
        check_id(id_)
        return b"".join(
            (
                _text(id_),
                _long(enqueued_at),
                _text(source),
                b"\x00" if order_key is None else b"\x02" + _text(order_key),
                b"\x00" if unique_key is None else b"\x02" + _text(unique_key),
                b"\x00" if expires_in_ms is None else b"\x02" + _long(expires_in_ms),
                b"\x00" if parent_id is None else b"\x02" + _text(parent_id),
                b"\x00" if correlation_id is None else b"\x02" + _text(correlation_id),
            )
        )
    except EncodeError:
        raise _named(meta) from None


def check_id(job_id: object) -> None:
    """Raise `EncodeError` unless it is a valid id: 1 to 128 of `A-Z a-z 0-9 . _ -`."""
    if not (isinstance(job_id, str) and is_id(job_id)):
        raise EncodeError.of(job_id, _ID_RULE)


def _named(meta: Meta) -> EncodeError:
    """Find the field that fails, one by one: this path may be slow."""
    for name, value in zip(Meta._fields, meta, strict=True):
        optional = value is None and name in Meta._field_defaults
        check = check_id if name == "id" else _long if name.endswith(("_at", "_ms")) else _text
        try:
            _ = None if optional else check(value)
        except EncodeError as error:
            error.path = f"meta.{name}"
            return error
    return EncodeError.of(meta, "a valid meta")


def read_meta(data: bytes, at: int) -> tuple[MetaFields, int]:
    """Read `meta` in the packaged layout, and where `args` begins; checks the id.

    Raises `DecodeError`, and `IndexError` or `UnicodeDecodeError` for cut or mangled bytes.
    """
    # Texts of less than 64 bytes are read in place: a call each would cost a tenth of the whole.
    size = data[at]
    if size & 0x81:
        id_, at = read_text(data, at)
    else:
        end = at + 1 + (size >> 1)
        id_, at = data[at + 1 : end].decode(), end
    enqueued_at, at = read_millis(data, at)
    size = data[at]
    if size & 0x81:
        source, at = read_text(data, at)
    else:
        end = at + 1 + (size >> 1)
        source, at = data[at + 1 : end].decode(), end
    if not is_id(id_):
        raise bad_id(id_)
    if data[at : at + 5] == _NO_KEYS:
        return (id_, enqueued_at, source, None, None, None, None, None), at + 5
    order_key, at = _optional_text(data, at)
    unique_key, at = _optional_text(data, at)
    expires_in_ms, at = _optional_long(data, at)
    parent_id, at = _optional_text(data, at)
    correlation_id, at = _optional_text(data, at)
    if at > len(data):
        message = f"meta ends at byte {at}, but the value has {len(data)}"
        raise DecodeError(message)
    keys = (order_key, unique_key, expires_in_ms, parent_id, correlation_id)
    return (id_, enqueued_at, source, *keys), at


def read_usual_meta(value: bytes) -> tuple[MetaFields, int] | None:
    """`read_meta` for the layout that nearly every job has, in a third of the time.

    That is: single-object framing, an id of 36 characters, a time of six bytes, a short source, and
    no optional field but perhaps a short order key. None for any other, and for anything at all
    that is not as it should be.
    """
    # 10 bytes of framing, 1 of length, 36 of id, 6 of time, 1 of length.
    if len(value) < _USUAL_BYTES_MIN or value[10] != _USUAL_ID_SIZE:
        return None
    six = _from_bytes(value[47:53], "little")
    size = value[53]
    end = 54 + (size >> 1)
    raw = value[11:47]
    if six & SIX_BYTES_MARKS != SIX_BYTES_MARKED or size & 0x81 or raw.translate(None, _ID_BYTES):
        return None
    source, key, after = value[54:end].decode(), None, end + 1
    if value[end:after] != _ABSENT:
        size = value[after] if value[end:after] == _THERE and after < len(value) else 0x81
        if size & 0x81:
            return None
        end, after = after + 1, after + 1 + (size >> 1)
        key = value[end:after].decode()
    if value[after : after + 4] != _NO_OTHERS:
        return None
    return (raw.decode(), six_bytes_long(six), source, key, None, None, None, None), after + 4


def bad_id(job_id: str) -> DecodeError:
    """The error for a record whose id breaks the rule."""
    message = f"id {job_id[:130]!r} is not {_ID_RULE}"
    return DecodeError(message)


def _optional_text(data: bytes, at: int) -> tuple[str | None, int]:
    return read_text(data, at + 1) if _is_present(data, at) else (None, at + 1)


def _optional_long(data: bytes, at: int) -> tuple[int | None, int]:
    return read_long(data, at + 1) if _is_present(data, at) else (None, at + 1)


def _is_present(data: bytes, at: int) -> bool:
    branch = data[at]
    if branch not in {0, _PRESENT}:
        message = f"byte {at} of meta is {branch}; a union of two has 0 or 2 there"
        raise DecodeError(message)
    return branch == _PRESENT
