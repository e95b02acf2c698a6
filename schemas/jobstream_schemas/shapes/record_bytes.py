"""The bytes of a dataclass: its fields one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_schemas.errors import EncodeError, SchemaMismatch, caused, text_of
from jobstream_schemas.shapes.exact import other_class

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream_schemas.shapes.shape import Decoder, Encoder


def encoder_of(cls: type, steps: Sequence[tuple[str, Encoder]]) -> Encoder:
    """The function that writes the fields of an instance, by name and encoder."""

    def encode(value: object) -> bytes:
        if type(value) is not cls:
            raise other_class(value, cls)
        parts = []
        name = ""
        try:
            for name, step in steps:  # the name is needed where it fails
                parts.append(step(getattr(value, name)))  # here, too
        except (EncodeError, AttributeError) as error:
            first = _misfit(error, value, name)
            for later, step in steps[len(parts) + 1 :]:  # All at once: so they can be mended.
                try:
                    step(getattr(value, later))
                except (EncodeError, AttributeError) as other:
                    first.join(_misfit(other, value, later))
            raise caused(first, error.__cause__) from error.__cause__
        return b"".join(parts)

    return encode


def _misfit(error: EncodeError | AttributeError, value: object, name: str) -> EncodeError:
    """What is wrong with that field; one that was never set, as `model_construct` may, has none."""
    if isinstance(error, AttributeError):
        if hasattr(value, name):
            raise error
        error = EncodeError("it was never set; give it a value")
    error.climb(f".{name}")
    return error


def decoder_of(cls: type, steps: Sequence[Decoder], make: Callable[..., object]) -> Decoder:
    """The function that reads the fields and calls the class with them."""

    def decode(data: bytes, at: int) -> tuple[object, int]:
        values = []
        for step in steps:
            value, at = step(data, at)
            values.append(value)
        try:
            return make(*values), at
        except Exception as error:
            raise caused(refused(cls, "args", error), error) from error

    return decode


def refused(cls: type, path: str, error: Exception) -> SchemaMismatch:
    """The error for what `cls` raised when it was called with values of its own fields.

    The class took them when the job was enqueued, so it is another version of it, or its check
    looks at more than the values. Either way the bytes are sound, and other code may read them.
    """
    if isinstance(error, SchemaMismatch):
        return error
    names = f"{path}: {cls.__name__} refuses these values: {type(error).__name__}"
    return SchemaMismatch(f"{names}: {text_of(error)}", names)
