"""`done` rows, one per job and nearly all rows there are: by hand, and equal to the library's.

Every other row, and a done row of another layout, goes through `dedup_rows`.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from jobstream_schemas.dedup_rows import ROW_FINGERPRINT, Row, decode_row, encode_row, row_key
from jobstream_schemas.errors import DecodeError, EncodeError, shown
from jobstream_schemas.framing import frame_of
from jobstream_schemas.meta import SIX_BYTES_MARKED, SIX_BYTES_MARKS, encode_millis
from jobstream_schemas.primitives import LONG_MAX, ONE, read_long, text_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

_DONE_HEAD = frame_of(ROW_FINGERPRINT) + text_bytes("job")
_DONE_STATE = text_bytes("done")
_FIRST = _DONE_STATE + b"\x00\x00\x02\x10"
"""State, redrive 0, no seq, attempt 1, and the length of the digest."""
_SHORT = 64
"""Numbers below it, and lengths, take one byte."""

# Everything of a usual done row after the id: state, redrive, seq, attempt, digest, fingerprint
# (each with its length); then, as one number, six bytes of time and two zeros: due and detail.
_DONE_TAIL = Struct("<5sBBBB8sB8sQ")
_done_tail = _DONE_TAIL.unpack_from
_DONE_ID_AT = len(_DONE_HEAD) + 1
_DONE_BYTES_MIN = _DONE_ID_AT + _DONE_TAIL.size
_EIGHT = 16
# Counted from the end, where every part has its size.
_SEQ_AT, _ATTEMPT_AT = -28, -27
_new = tuple.__new__


def done_key(job_id: str, redrive: int) -> bytes:
    """The key of a job's done row: `row_key` without a row."""
    return f"job:{job_id}:done:{redrive}".encode()


def encode_done(  # noqa: PLR0917 - one flat call per job
    digest: bytes, fingerprint: bytes, job_id: str, redrive: int, attempt: int, at: int
) -> bytes:
    """The framed value of a job's done row, as `done_encoder` makes it."""
    return done_encoder(at)(digest, fingerprint, job_id, redrive, attempt)


def done_encoder(at: int) -> Callable[[bytes, bytes, str, int, int], bytes]:
    """The function to the value of a done row written at that time, by hand for usual ones.

    It raises `EncodeError` for a digest or fingerprint of other than 8 or 0 bytes, and for a
    number out of range. It checks no types: the caller is the worker.
    """
    if not 0 <= at <= LONG_MAX:
        message = f"got {at}; it must be 0 to {LONG_MAX}"
        raise EncodeError(message, "row.at")
    tail = encode_millis(at) + b"\x00\x00"

    def encode(digest: bytes, fingerprint: bytes, job_id: str, redrive: int, attempt: int) -> bytes:
        raw = job_id.encode()
        if len(digest) == 8 == len(fingerprint) and len(raw) < _SHORT:  # noqa: PLR2004 - as documented
            head = _DONE_HEAD + ONE[len(raw) << 1] + raw
            if redrive == 0 and attempt == 1:
                return head + _FIRST + digest + b"\x10" + fingerprint + tail
            if 0 <= redrive < _SHORT > attempt >= 0:
                counts = bytes((redrive << 1, 0, attempt << 1, _EIGHT))
                return head + _DONE_STATE + counts + digest + b"\x10" + fingerprint + tail
        row = Row("job", job_id, "done", redrive, 0, attempt, digest, fingerprint, at)
        return encode_row(row)

    return encode


def parse_row(key: bytes, value: bytes) -> Row:
    """The row under its key, fast for done rows; raises `DecodeError`, also where the two differ.

    Rows that differ from their key are refused because compaction and merging go by the key.
    """
    usual = usual_done(key, value)
    if usual is not None:
        job_id, fingerprint, digest = usual
        seq, attempt = value[_SEQ_AT] >> 1, value[_ATTEMPT_AT] >> 1
        at, _ = read_long(value, len(value) - 8)
        return _new(Row, ("job", job_id, "done", 0, seq, attempt, digest, fingerprint, at, 0, ""))
    row = decode_row(value)
    if key != row_key(row):
        message = f"row key {shown(key)} differs from what its value says: {shown(row_key(row))}"
        raise DecodeError(message)
    return row


def usual_done(key: bytes, value: bytes) -> tuple[str, bytes, bytes] | None:
    """(id, fingerprint, digest) of a done row in the layout of nearly all rows.

    For restoring a table, which asks nothing else of such a row. None for any other row, and for
    whatever is not exactly as it should be: `parse_row` then says what it is.
    """
    total = len(value)
    if total < _DONE_BYTES_MIN or not value.startswith(_DONE_HEAD):
        return None
    size = value[_DONE_ID_AT - 1]
    end = _DONE_ID_AT + (size >> 1)
    if size & 0x81 or total != end + _DONE_TAIL.size:
        return None
    state, redrive, seq, attempt, marks, digest, more_marks, fingerprint, six = _done_tail(
        value, end
    )
    raw_id = value[_DONE_ID_AT:end]
    if (
        redrive  # a redriven job's row takes the long way, so the key below is fixed
        or (seq | attempt) & 0x81
        or state != _DONE_STATE
        or marks != _EIGHT
        or more_marks != _EIGHT
        or six & SIX_BYTES_MARKS != SIX_BYTES_MARKED
        or not raw_id.isascii()
        or key != b"job:" + raw_id + b":done:0"
    ):
        return None
    return raw_id.decode(), fingerprint, digest
