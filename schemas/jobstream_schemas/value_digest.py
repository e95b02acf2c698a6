"""A digest of args that stays the same when their class changes; it tells no bytes of an event.

The encoded args of one value differ from version to version. Here a value is put down as what it
says: fields by name, numbers by their size, texts as UTF-8, maps by key; without the names of
classes, and without fields that hold their default, so a field added later changes nothing.

Two different values may have one digest (`1` and `1.0`, say); equal ones of one class never have
two, unless a default is made anew each time, such as an id or the time.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_schemas.shapes.shape import Shape

DIGEST_BYTES = 16


def value_digest(shape: Shape) -> Callable[[Any], bytes]:
    """The function from args, checked by their encoder before, to 16 bytes of BLAKE2b.

    It calls the class's own default factories, to see whether a field holds its default.
    """
    tell = shape.teller()
    return lambda args: blake2b(repr(tell(args)).encode(), digest_size=DIGEST_BYTES).digest()
