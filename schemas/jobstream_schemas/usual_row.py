"""`done` rows, one per job and nearly all rows there are: by hand, and equal to the library's.

Every other row, and a done row of another layout, goes through `dedup_rows`.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from jobstream_schemas.dedup_rows import ROW_FINGERPRINT, Row, decode_row, encode_row, row_key
from jobstream_schemas.errors import DecodeError, EncodeError, shown
from jobstream_schemas.framing import frame_of
from jobstream_schemas.meta import SIX_BYTES_MARKED, SIX_BYTES_MARKS, encode_millis
from jobstream_schemas.primitives import LONG_MAX, ONE, read_long, text_bytes

_DONE_HEAD: Final = frame_of(ROW_FINGERPRINT) + text_bytes("job")
_DONE_STATE: Final = text_bytes("done")
_FIRST: Final = _DONE_STATE + b"\x00\x00\x02\x10"
"""State, redrive 0, no seq, attempt 1, and the length of the digest."""
_SHORT: Final = 64
"""Numbers below it, and lengths, take one byte."""

# Everything of a usual done row after the id: state, redrive, seq, attempt, digest, fingerprint
# (each with its length); then, as one number, six bytes of time and two zeros: due and detail.
_DONE_TAIL = Struct("<5sBBBB8sB8sQ")
_done_tail: Final = _DONE_TAIL.unpack_from
_DONE_ID_AT: Final = len(_DONE_HEAD) + 1
_DONE_BYTES_MIN: Final = _DONE_ID_AT + _DONE_TAIL.size
_EIGHT: Final = 16
# Counted from the end, where every part has its size.
_SEQ_AT: Final = -28
_ATTEMPT_AT: Final = -27
_new: Final = tuple.__new__


def done_key(job_id: str, redrive: int) -> bytes:
    """The key of a job's done row: `row_key` without a row."""
    return f"job:{job_id}:done:{redrive}".encode()


def encode_done(  # noqa: PLR0917 - one flat call per job
    digest: bytes, fingerprint: bytes, job_id: str, redrive: int, attempt: int, at: int
) -> bytes:
    """The framed value of a job's done row, as `DoneRows` makes it."""
    return DoneRows(at).row(digest, fingerprint, job_id, redrive, attempt)[1]


class DoneRows:
    """Makes the done rows that are written at one time, by hand where they are usual."""

    __slots__ = ("_at", "_tail")

    def __init__(self, at: int) -> None:
        """Raises `EncodeError` for a time out of range."""
        if not 0 <= at <= LONG_MAX:
            message = f"got {at}; it must be 0 to {LONG_MAX}"
            raise EncodeError(message, "row.at")
        self._at = at
        self._tail = encode_millis(at) + b"\x00\x00"

    def row(
        self, digest: bytes, fingerprint: bytes, job_id: str, redrive: int, attempt: int
    ) -> tuple[bytes, bytes]:
        """Key and framed value.

        Raises `EncodeError` for a digest or fingerprint of other than 8 or 0 bytes, and for a
        number out of range. Checks no types: the caller is the worker.
        """
        raw = job_id.encode()
        if len(digest) == 8 == len(fingerprint) and len(raw) < _SHORT:  # noqa: PLR2004 - as documented
            size = ONE[len(raw) << 1]
            if redrive == 0 and attempt == 1:
                parts = (_DONE_HEAD, size, raw, _FIRST, digest, b"\x10", fingerprint, self._tail)
                return b"job:" + raw + b":done:0", b"".join(parts)
            if 0 <= redrive < _SHORT > attempt >= 0:
                counts = _DONE_STATE + bytes((redrive << 1, 0, attempt << 1, _EIGHT))
                parts = (_DONE_HEAD, size, raw, counts, digest, b"\x10", fingerprint, self._tail)
                return done_key(job_id, redrive), b"".join(parts)
        row = Row("job", job_id, "done", redrive, 0, attempt, digest, fingerprint, self._at)
        return done_key(job_id, redrive), encode_row(row)


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
