"""`Decimal`: exact, and never rounded; text in JSON.

Done here and not by the Avro library because the cost of its conversion grows with the square of
the bytes: one 1 MB datum holds it for two minutes. Here the length is checked first.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Annotated, get_args, get_origin

from jobstream_schemas.errors import DecodeError, EncodeError, JsonMisfit, UnsupportedType, shown
from jobstream_schemas.shapes.blobs import encode_bytes, read_bytes
from jobstream_schemas.shapes.exact import plain_value
from jobstream_schemas.shapes.key_text import KeyField
from jobstream_schemas.shapes.kind import FieldPlace, TypeKind
from jobstream_schemas.shapes.leaf import made, number_told
from jobstream_schemas.shapes.shape import Decoder, Encoder, Names, Shape, Step, Teller
from jobstream_schemas.shapes.written import WriterSchema, promoted, then

PRECISION_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DecimalSpec:
    """Digits of a decimal field: `Annotated[Decimal, DecimalSpec(12, 2)]`; 38 and 9 if unsaid.

    `precision` counts all digits (1 to 1,000), `scale` those after the point. A value comes back
    with the places after the point that it had, up to `scale`.
    """

    precision: int = 38
    scale: int = 9

    def __post_init__(self) -> None:
        """Refuse digits that no Avro decimal can have."""
        if not (1 <= self.precision <= PRECISION_MAX and 0 <= self.scale <= self.precision):
            message = (
                f"DecimalSpec({self.precision}, {self.scale}): precision must be 1 to"
                f" {PRECISION_MAX} and scale 0 to precision"
            )
            raise UnsupportedType(message)


@dataclass(frozen=True, slots=True)
class DecimalOf(Shape):
    """A decimal of so many digits."""

    spec: DecimalSpec

    def avro(self, _: Names) -> object:
        digits = {"precision": self.spec.precision, "scale": self.spec.scale}
        return {"type": "bytes", "logicalType": "decimal", **digits}

    def avro_default(self, value: Decimal) -> str:
        return decimal_bytes(value, self.spec).decode("latin-1")

    def encoder(self) -> Encoder:
        spec = self.spec

        def encode(value: object) -> bytes:
            if type(value) is not Decimal:
                value = plain_value(value, Decimal, Decimal, "a Decimal")
            return encode_bytes(decimal_bytes(value, spec))

        return encode

    def decoder(self) -> Decoder:
        return made(self._from_bytes(), read_bytes)

    def resolve(self, writer: object, path: str, _: WriterSchema) -> Step:
        return then(promoted(writer, "bytes", path), self._from_bytes())

    def _from_bytes(self) -> Step:
        spec = self.spec
        return lambda raw: decimal_of(raw, spec)

    def teller(self) -> Teller:
        return number_told

    def key_field(self) -> KeyField:
        return KeyField("", _in_key)

    def from_json(self, value: object, path: str) -> Decimal:
        # Numbers of JSON are read as Decimal where they have a point: no digit is lost on the way.
        if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
            try:
                return Decimal(str(value))
            except ArithmeticError:
                pass
        raise JsonMisfit.of(value, path, self.json_words())

    def json_words(self) -> str:
        return 'a decimal, as in "12.50"'

    def sample(self) -> str:
        return "1." + "0" * self.spec.scale if self.spec.scale else "1"


def _of(hint: object, _: FieldPlace) -> DecimalOf | None:
    if get_origin(hint) is Annotated and (parts := get_args(hint))[0] is Decimal:
        specs = (each for each in parts[1:] if isinstance(each, DecimalSpec))
        return DecimalOf(next(specs, DecimalSpec()))
    return DecimalOf(DecimalSpec()) if hint is Decimal else None


def _in_key(value: Decimal) -> str:
    """Its text without trailing zeros, which equal ones may differ in."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return '"0"' if text == "-0" else f'"{text}"'


KIND = TypeKind("Decimal", _of)


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
