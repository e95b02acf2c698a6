"""Decimals, dates and instants as Avro's primitives and back; exact, and never rounds.

Decimals are done here and not by the Avro library because the cost of its conversion grows with
the square of the bytes: one 1 MB datum holds it for two minutes. Here the length is checked first.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from jobstream_schemas.errors import DecodeError, EncodeError, shown

if TYPE_CHECKING:
    from jobstream_schemas.shapes import DecimalSpec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)
_MICROS_MIN = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MICROS_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def days_of(value: date) -> int:
    """Days since 1970-01-01 (Avro `date`)."""
    return value.toordinal() - _EPOCH_DAY


def date_at(days: int) -> date:
    """The inverse of `days_of`; raises `OverflowError` or `ValueError` outside years 1 to 9999."""
    return date.fromordinal(days + _EPOCH_DAY)


def micros_of(value: datetime) -> int:
    """Microseconds since the epoch (Avro `timestamp-micros`) of an aware datetime.

    Raises `EncodeError` where the offset carries it out of years 1 to 9999 in UTC.
    """
    micros = (value - _EPOCH) // _MICROSECOND
    if not _MICROS_MIN <= micros <= _MICROS_MAX:
        raise EncodeError.of(value, "an instant in years 1 to 9999 of UTC")
    return micros


def instant_at(micros: int) -> datetime:
    """The inverse of `micros_of`, aware and in UTC; raises `OverflowError` out of range."""
    return _EPOCH + timedelta(microseconds=micros)


def decimal_bytes(value: Decimal, spec: DecimalSpec) -> bytes:
    """The unscaled integer, two's complement, big-endian (Avro `decimal`).

    For each place after the point that the value has less than the spec it begins with one sign
    byte more than it needs, which changes no number; so the value comes back with its own places.
    Raises `EncodeError` for NaN, infinities, and values with more digits than the spec has.
    """
    unscaled = _unscaled(value, spec)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "only a finite value has an unscaled one"  # noqa: S101
    # A zero may have any exponent: beyond the digits of the spec it is cut to them.
    fewer = min(max(0, spec.scale + exponent), spec.precision)
    return unscaled.to_bytes(_shortest(unscaled) + fewer, "big", signed=True)


def _shortest(number: int) -> int:
    """How many bytes it needs in two's complement."""
    return (number if number >= 0 else ~number).bit_length() // 8 + 1


def _unscaled(value: Decimal, spec: DecimalSpec) -> int:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise EncodeError.of(value, "a finite Decimal")
    if not value:
        return 0
    # Limits before arithmetic: Decimal("1E+999999999") would build a number of a billion digits.
    shift = exponent + spec.scale
    if value.adjusted() < spec.precision - spec.scale and -shift < len(digits):
        digits_only = int(Decimal((sign, digits, 0)))
        number, rest = divmod(digits_only, 10 ** max(-shift, 0))
        if not rest:
            scaled: int = number * 10 ** max(shift, 0)
            return scaled
    wanted = f"at most {spec.precision} digits, {spec.scale} after the point"
    raise EncodeError.of(value, f"{wanted}, or annotate DecimalSpec(precision, scale)")


def decimal_of(raw: bytes, spec: DecimalSpec) -> Decimal:
    """The inverse of `decimal_bytes`; raises `DecodeError` for no byte or too many digits.

    Bytes of a writer that pads for another reason are the same number, with the places that fit.
    """
    limit = 10**spec.precision
    if 0 < len(raw) <= _shortest(limit) + spec.precision:
        number = int.from_bytes(raw, "big", signed=True)
        if abs(number) < limit:
            exponent = -spec.scale
            if fewer := len(raw) - _shortest(number):
                short, rest = divmod(number, 10**fewer)
                if not rest:
                    number, exponent = short, exponent + fewer
            return Decimal(number).scaleb(exponent, Context(prec=spec.precision))
    message = f"decimal of {len(raw)} bytes {shown(raw)} does not fit {spec.precision} digits"
    raise DecodeError(message)
