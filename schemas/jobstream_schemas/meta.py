"""`meta`, the half of a job event that is the same for every type, to bytes and back by hand.

The hand-written form is faster than the library's and equal to it on the wire. It reads only the
layout of `avro/meta.avsc`; `resolving` reads the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobstream_schemas.errors import DecodeError, EncodeError, caused
from jobstream_schemas.primitives import ONE, read_long, read_text
from jobstream_schemas.shapes.integers import encode_long as _long
from jobstream_schemas.shapes.texts import encode_text as _text
from jobstream_schemas.wire_names import is_id

if TYPE_CHECKING:
    from collections.abc import Callable

_ID_RULE: Final = "1 to 128 letters, digits, '.', '_' or '-'"
_SHORT: Final = 64
"""Texts of fewer bytes have a length of one byte."""
_NO_KEYS: Final = (None,) * 7
_NO_KEY_BYTES: Final = b"\x00" * 7
_NO_OTHERS: Final = b"\x00" * 6
_PRESENT: Final = 2

# Epoch milliseconds from 1970 to 2039 take six bytes: five that go on, then one that ends. Read as
# one little-endian number they have these marks, and an even zig-zag. The marks also ask that the
# two bytes after them be zero, for a caller that reads eight at once.
_MILLIS_MIN: Final = 1 << 34
_MILLIS_END: Final = 1 << 41
SIX_BYTES_MARKS: Final = 0xFFFF808080808081
SIX_BYTES_MARKED: Final = 0x0000008080808080
_SIX_MARKS: Final = 0x808080808081
"""The marks of the six alone."""
_from_bytes: Final = int.from_bytes


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
    limit_key: str | None = None
    fair_key: str | None = None


class Decoded:
    """A record's `meta`, and where its `args` begin; the args are not looked at yet.

    Times are milliseconds since the epoch. `fingerprint` is the writer schema's.
    """

    __slots__ = (
        "args_bytes_at", "correlation_id", "enqueued_at", "expires_in_ms", "fair_key",
        "fingerprint", "id", "limit_key", "order_key", "parent_id", "source", "unique_key",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 - one flat call per job
        self,
        id: str,  # noqa: A002 - the field's name
        enqueued_at: int,
        source: str,
        order_key: str | None,
        unique_key: str | None,
        expires_in_ms: int | None,
        parent_id: str | None,
        correlation_id: str | None,
        limit_key: str | None,
        fair_key: str | None,
        args_bytes_at: int,
        fingerprint: bytes,
    ) -> None:
        self.id = id
        self.enqueued_at = enqueued_at
        self.source = source
        self.order_key = order_key
        self.unique_key = unique_key
        self.expires_in_ms = expires_in_ms
        self.parent_id = parent_id
        self.correlation_id = correlation_id
        self.limit_key = limit_key
        self.fair_key = fair_key
        self.args_bytes_at = args_bytes_at
        self.fingerprint = fingerprint

    @property
    def meta(self) -> Meta:
        """What the client wrote of it."""
        return Meta(
            self.id,
            self.enqueued_at,
            self.source,
            self.order_key,
            self.unique_key,
            self.expires_in_ms,
            self.parent_id,
            self.correlation_id,
            self.limit_key,
            self.fair_key,
        )


def encode_meta(meta: Meta) -> bytes:
    """The Avro bytes of `meta`; raises `EncodeError` naming the field, value and fix."""
    given: tuple[Any, ...] = meta  # a caller's, of types that are still to be checked
    id_, enqueued_at, source, order_key, unique_key, expires_in_ms = given[:6]
    parent_id, correlation_id, limit_key, fair_key = given[6:]
    try:
        if (
            type(id_) is type(source) is str
            and is_id(id_)
            and len(id_) < _SHORT > len(source)
            and source.isascii()
        ):  # nearly every job: no call for each field
            head = ONE[len(id_) << 1] + id_.encode() + encode_millis(enqueued_at)
            head += ONE[len(source) << 1] + source.encode()
        else:
            check_id(id_)
            head = _text(id_) + _long(enqueued_at) + _text(source)
        if given[3:] == _NO_KEYS:
            return head + _NO_KEY_BYTES
        return b"".join(
            (
                head,
                b"\x00" if order_key is None else b"\x02" + _text(order_key),
                b"\x00" if unique_key is None else b"\x02" + _text(unique_key),
                b"\x00" if expires_in_ms is None else b"\x02" + _long(expires_in_ms),
                b"\x00" if parent_id is None else b"\x02" + _text(parent_id),
                b"\x00" if correlation_id is None else b"\x02" + _text(correlation_id),
                b"\x00" if limit_key is None else b"\x02" + _text(limit_key),
                b"\x00" if fair_key is None else b"\x02" + _text(fair_key),
            )
        )
    except EncodeError:
        raise caused(_named(meta), None) from None


def check_id(job_id: object) -> None:
    """Raise `EncodeError` unless it is a valid id: 1 to 128 of `A-Z a-z 0-9 . _ -`."""
    if not (isinstance(job_id, str) and is_id(job_id)):
        raise EncodeError.of(job_id, _ID_RULE)


def _named(meta: Meta) -> EncodeError:
    """Find the field that fails, one by one: this path may be slow."""
    given: tuple[Any, ...] = meta
    for name, value in zip(Meta._fields, given, strict=True):
        optional = value is None and name in Meta._field_defaults
        check = check_id if name == "id" else _long if name.endswith(("_at", "_ms")) else _text
        try:
            _ = None if optional else check(value)
        except EncodeError as error:
            error.path = f"meta.{name}"
            return error
    return EncodeError.of(meta, "a valid meta")


def read_meta(data: bytes, at: int, fingerprint: bytes) -> Decoded:
    """Read `meta` in the packaged layout, which begins at `at`; checks the id.

    Raises `DecodeError`, and `IndexError` or `UnicodeDecodeError` for cut or mangled bytes.
    """
    # What nearly every job has is read in place: a call for each field would double the time.
    size = data[at]
    end = at + 1 + (size >> 1)
    raw = data[at + 1 : end]
    six = _from_bytes(data[end : end + 6], "little")
    if size & 0x81 or six & _SIX_MARKS != SIX_BYTES_MARKED:
        id_, at = read_text(data, at)
        enqueued_at, at = read_long(data, at)
        is_right = is_id(id_) is not None
    else:
        id_, at = raw.decode(), end + 6
        pairs = (six & 0x7F007F007F) | ((six & 0x7F007F007F00) >> 1)
        rest = (pairs & 0x3FFF) | (pairs >> 2 & 0xFFFC000) | (pairs >> 4 & 0x3FFF0000000)
        enqueued_at = rest >> 1
        # Most ids are UUIDs: this needs no look at the rule.
        is_right = raw.replace(b"-", b"").isalnum() or is_id(id_) is not None
    size = data[at]
    if size & 0x81:
        source, at = read_text(data, at)
    else:
        end = at + 1 + (size >> 1)
        source, at = data[at + 1 : end].decode(), end
    if not is_right:
        raise bad_id(id_)
    if data[at : at + 7] == _NO_KEY_BYTES:
        return Decoded(
            id_, enqueued_at, source, None, None, None, None, None, None, None, at + 7, fingerprint
        )
    if data[at] == _PRESENT and not data[at + 1] & 0x81:
        end = at + 2 + (data[at + 1] >> 1)
        if data[end : end + 6] == _NO_OTHERS:
            key, end = data[at + 2 : end].decode(), end + 6
            return Decoded(
                id_, enqueued_at, source, key, None, None, None, None, None, None, end, fingerprint
            )
    keys: list[Any] = []
    for read in _READ_KEYS:
        branch, found = data[at], None
        at += 1
        if branch == _PRESENT:
            found, at = read(data, at)
        elif branch:
            message = f"byte {at - 1} of meta is {branch}; a union of two has 0 or 2 there"
            raise DecodeError(message)
        keys.append(found)
    if at > len(data):
        message = f"meta ends at byte {at}, but the value has {len(data)}"
        raise DecodeError(message)
    return Decoded(*Meta(id_, enqueued_at, source, *keys), at, fingerprint)


def encode_millis(millis: object) -> bytes:
    """Epoch milliseconds, as `encode_long` writes them; six bytes cost less."""
    if type(millis) is not int or not _MILLIS_MIN <= millis < _MILLIS_END:
        return _long(millis)
    rest = millis << 1
    pairs = (rest & 0x3FFF) | (rest & 0xFFFC000) << 2 | (rest & 0x3FFF0000000) << 4
    six = (pairs & 0x7F007F007F) | (pairs & 0x3F803F803F80) << 1 | SIX_BYTES_MARKED
    return six.to_bytes(6, "little")


def bad_id(job_id: str) -> DecodeError:
    """The error for a record whose id breaks the rule."""
    message = f"id {job_id[:130]!r} is not {_ID_RULE}"
    return DecodeError(message)


_READ_KEYS: tuple[Callable[[bytes, int], tuple[Any, int]], ...] = (
    read_text, read_text, read_long, read_text, read_text, read_text, read_text,
)  # fmt: skip
