"""The package's errors: what each one means and what becomes of the job it names; raises none.

SchemaError
├── EncodeError         a value does not fit its declared type: the caller's bug, nothing sent
├── DecodeError         bytes are not a valid record: permanent, dead letter
│   ├── UnknownSchema   no writer schema for the bytes yet: transient for a bounded time
│   └── SchemaMismatch  sound bytes that this version of the class can't hold: transient, too
├── JsonMisfit          JSON values do not fit the class: the caller's mistake, nothing sent
├── UnsupportedType     a class cannot be a job's args: stops at declaration
├── SchemaRefused       a schema that could kill a decoder: stops at registration
├── SchemaConflict      one fingerprint, two meanings: stops at registration
└── MissingExtra        an optional library is not installed
"""

from __future__ import annotations

import reprlib
from decimal import Decimal
from typing import TypeVar

Failure = TypeVar("Failure", bound=BaseException)

ERROR_TEXT_MAX = 1_000
"""Characters of what a class's own check says that are passed on."""
_LINES_SHOWN = 50
_JSON_SHOWN_CHARS = 80
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


class SchemaError(Exception):
    """Base of every error this package raises on purpose."""


class EncodeError(SchemaError):
    """A value does not fit its declared type; `path` names it, as in `Receipt.lines[3].price`.

    `others` are those of further fields that do not fit; the message has them all.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        """Keep the reason apart from the path, which grows while the error climbs."""
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.others: tuple[EncodeError, ...] = ()

    def __str__(self) -> str:
        """Path first, then the value and the fix; a line for each, if there are several."""
        told = [f"{e.path}: {e.reason}" if e.path else e.reason for e in (self, *self.others)]
        return "\n  ".join([f"{len(told)} fields do not fit:", *told]) if self.others else told[0]

    def climb(self, step: str) -> None:
        """Say where what holds the value is, from one step further out."""
        for each in (self, *self.others):
            each.path = step + each.path

    def join(self, other: EncodeError) -> None:
        """Tell of another field, too."""
        self.others += (other, *other.others)

    @classmethod
    def of(cls, value: object, wanted: str) -> EncodeError:
        """Name the value (cut short), its type, and what to pass instead."""
        return cls(f"got {shown(value)} ({type(value).__name__}); pass {wanted}")


class DecodeError(SchemaError):
    """The bytes are not a valid record of their schema; trying again cannot help."""


class UnknownSchema(DecodeError):
    """No writer schema is known for these bytes; catch it before `DecodeError`, it may heal.

    `reference` is the 8-byte fingerprint, or the 4-byte id of a registry (big-endian).
    """

    def __init__(self, message: str, reference: bytes) -> None:
        """Keep the reference, so that a caller can ask for this schema."""
        super().__init__(message)
        self.reference = reference


class SchemaMismatch(DecodeError):
    """The bytes are sound, but this version of the class cannot hold what they say.

    Catch it before `DecodeError`: another version of the code may read them.
    """

    def __init__(self, message: str, names: str) -> None:
        """`names` is the message without any value: it may be shown where fields are secret."""
        super().__init__(message)
        self.names = names


class JsonMisfit(SchemaError):
    """JSON values do not fit the declared types; `lines` has one for each field that is wrong."""

    def __init__(self, *lines: str) -> None:
        """Each line says the path of a field, what was found, and what to give."""
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        """One line as it is, and of very many not all."""
        if len(self.lines) == 1:
            return self.lines[0]
        more = ["…"] if len(self.lines) > _LINES_SHOWN else []
        head = f"{len(self.lines)} fields are wrong:"
        return "\n  ".join([head, *self.lines[:_LINES_SHOWN], *more])

    @classmethod
    def of(cls, value: object, path: str, wanted: str) -> JsonMisfit:
        """Name the value (cut short), and what to give instead."""
        told = str(value) if isinstance(value, Decimal) else repr(value)
        if len(told) > _JSON_SHOWN_CHARS:
            told = told[:_JSON_SHOWN_CHARS] + "…"
        return cls(f"{path}: got {told}; give {wanted}")


class UnsupportedType(SchemaError):
    """A dataclass has a field, a default or a name that no Avro record of ours can carry."""


class SchemaRefused(SchemaError):
    """The schema could kill or stall a decoder, or is not a job's schema at all."""


class SchemaConflict(SchemaError):
    """A known fingerprint arrived with other logical types or for another job type."""


class MissingExtra(SchemaError):
    """A feature needs an optional library; the message names the extra to install."""


def caused(error: Failure, cause: BaseException | None) -> Failure:
    """`error` with its cause, for a `raise … from`: compiled code raises without what follows it.

    Without this, a `from None` would be lost too, and with it what keeps a value out of the text.
    """
    error.__cause__ = cause
    return error


def text_of(error: Exception) -> str:
    """What an exception says, cut short; those of user code may fail to say anything."""
    try:
        return str(error)[:ERROR_TEXT_MAX]
    except Exception:  # noqa: BLE001 - the class's own checks may raise anything, and so may their text
        return "<unprintable>"


def shown(value: object) -> str:
    """The value as a message may show it: at most about 80 characters."""
    try:
        return _REPR.repr(value)
    except ValueError:  # Python writes out no number of thousands of digits
        return "a value too long to show"
