"""A value is written only as what it will be read back as: an instance of the declared class.

Whatever a subclass adds would be lost in silence, so dataclasses and containers must be of exactly
the declared class. Of a scalar's subclasses (a `StrEnum`, `numpy.float64`, another library's
datetime) those that hold the plain value and nothing else are written as it.
"""

from __future__ import annotations

from enum import Enum
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

from jobstream_schemas.errors import EncodeError
from jobstream_schemas.record_classes import is_record, is_record_class

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def plain_value(value: object, kind: type[T], make: Callable[[Any], T], wanted: str) -> T:
    """The plain value that an instance of a subclass holds, where it holds no more than that."""
    if not isinstance(value, kind):
        raise EncodeError.of(value, wanted)
    if not isinstance(value, Enum):  # a member's own attributes say which member it is
        below = takewhile(lambda cls: cls is not kind, type(value).__mro__)
        if getattr(value, "__dict__", None) or any(vars(cls).get("__slots__") for cls in below):
            raise richer(value, kind.__name__)
    return make(value)


def richer(value: object, kind: str) -> EncodeError:
    """The error for an instance of a subclass that holds more than its base class."""
    # Not the value: the undeclared class has no marks of what is secret.
    message = (
        f"got an instance of {type(value).__qualname__}; pass an instance of exactly {kind}:"
        " what a subclass adds would be lost"
    )
    return EncodeError(message)


def other_class(value: object, cls: type) -> EncodeError:
    """The error for a value that is not of exactly this class."""
    if isinstance(value, cls):
        return richer(value, cls.__name__)
    if is_record(value):  # its fields may be secret, and this class does not know them
        found, declared = type(value).__qualname__, cls.__name__
        if found == declared:  # often one module that was loaded twice, as itself and as __main__
            found, declared = f"{type(value).__module__}.{found}", f"{cls.__module__}.{declared}"
            if found == declared:
                declared += " as it was declared: this one is of another load of its module"
        return EncodeError(f"got an instance of {found}; pass an instance of {declared}")
    wanted = f"an instance of {cls.__name__}" if is_record_class(cls) else f"a {cls.__name__}"
    return EncodeError.of(value, wanted)
