"""The fields of a job's args that a rule names: one name, or several."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from jobstream_processors.errors import InvalidOption

Fields = str | Iterable[str]
"""One field of the args by name, or several: "tenant_id" or ("tenant_id", "order_id")."""


def field_names(option: str, given: Fields) -> tuple[str, ...]:
    """The names, in the order given; raises InvalidOption for none, or for one named twice."""
    names = (given,) if isinstance(given, str) else given
    # A set has another order in each process, and so has a key that is made by it.
    if isinstance(names, Iterable) and not isinstance(names, AbstractSet):
        names = tuple(names)
        if names and all(isinstance(each, str) and each for each in names):
            twice = [each for each in names if names.count(each) > 1]
            if not twice:
                return names
            message = f"{option}={given!r} names {twice[0]!r} twice; name each field once"
            raise InvalidOption(message)
    message = f"{option}={given!r}: give the name of a field of the args, or a tuple of names"
    raise InvalidOption(message)
