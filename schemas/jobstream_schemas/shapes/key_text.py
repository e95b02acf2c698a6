"""Which fields of a job's args can be part of a key, and the text of their values in one.

The text of a value is JSON, and the same in every process and version: an enum member by its name,
a `datetime` as its instant in UTC, a `Decimal` without trailing zeros. Equal values have equal
texts.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS: Final = (
    "has parts or bytes; a key is made of str, int, bool, UUID, date, datetime, Decimal, Enum and "
    "Literal fields"
)
FLOAT: Final = "is a float, which is rarely equal to another; declare it as str, int or Decimal"
SECRET: Final = "is secret, and keys are shown; give an id that stands for it"  # noqa: S105 - words


class KeyField(NamedTuple):
    """Why a field can't be part of a key ("" if it can), and the text of its value in one."""

    problem: str
    text: Callable[[Any], str]


def never(problem: str) -> KeyField:
    """A field that can't."""
    return KeyField(problem, repr)


quoted: Final[Callable[[str], str]] = encode_basestring
"""A text in JSON, with its letters as they are."""
