"""Avro's binary primitives, written by hand for the hot path.

Variable-length zig-zag integers and length-prefixed text, as in the Avro 1.12 specification,
"Binary encoding". Writers return the bytes; readers return the value and where the next begins.
Readers do not check the end of a text: slices are cut short silently, so a caller checks once,
at the end, that no position lies beyond the data.
"""

from __future__ import annotations

from jobstream_schemas.errors import DecodeError, EncodeError, caused

LONG_MIN = -(1 << 63)
LONG_MAX = (1 << 63) - 1

_MORE = 0x80
_VARINT_BITS_MAX = 63
ONE = tuple(bytes((byte,)) for byte in range(256))
"""Each byte, by its number."""


def long_bytes(value: int) -> bytes:
    """Zig-zag varint of a 64-bit integer; the caller has checked the range."""
    rest = value << 1 if value >= 0 else ~(value << 1)
    if rest < _MORE:
        return ONE[rest]
    out = bytearray()
    while rest >= _MORE:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def text_bytes(value: str) -> bytes:
    """Length and UTF-8 of a text; raises `EncodeError` for a lone surrogate."""
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        told = EncodeError.of(value, "text without lone surrogates")
        raise caused(told, None) from None
    size = len(raw) << 1
    return (ONE[size] if size < _MORE else long_bytes(len(raw))) + raw


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """A zig-zag varint; raises `IndexError` at the end and `DecodeError` beyond 64 bits."""
    byte = data[at]
    at += 1
    rest = byte & 0x7F
    shift = 7
    while byte & _MORE:
        if shift > _VARINT_BITS_MAX:
            message = f"integer at byte {at - 10} is longer than 64 bits"
            raise DecodeError(message)
        byte = data[at]
        at += 1
        rest |= (byte & 0x7F) << shift
        shift += 7
    if rest >> 64:
        message = f"integer before byte {at} does not fit 64 bits"
        raise DecodeError(message)
    return (rest >> 1) ^ -(rest & 1), at


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """A text; raises `IndexError`, `UnicodeDecodeError`, or `DecodeError` for a length below 0."""
    size = data[at]
    at += 1
    if size & 0x81:
        length, at = read_long(data, at - 1)
        if length < 0:
            message = f"text at byte {at} has length {length}"
            raise DecodeError(message)
        size = length << 1
    end = at + (size >> 1)
    return data[at:end].decode(), end
