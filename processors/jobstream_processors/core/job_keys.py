"""The keys of a job, made of fields of its args: for order, uniqueness, limits and fairness.

At declaration it is checked that the fields can make keys, and that the keys nest: all jobs that
share any key then share the coarsest one, which chooses the partition, so one owner sees them all.
"""

from __future__ import annotations

import itertools
from difflib import get_close_matches
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobstream_processors.core.identity import check_key
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Fields = Mapping[str, tuple[str, Callable[[Any], str]]]
    """By the name of a field: why it can't be part of a key ("" if it can), and its text in one."""

KEY_BYTES_MAX: Final = 200
"""A longer key is replaced by its hash."""
_SURELY_SHORT: Final = KEY_BYTES_MAX // 4
_HASH_DIGITS: Final = 40
_BY_CALLER: Final = -1
_PINNED: Final = -2


class KeyRules(NamedTuple):
    """Which fields make each key of a type; None where it has no such key."""

    order: tuple[str, ...] | None = None
    unique: tuple[str, ...] | None = None
    limit: tuple[str, ...] | None = None
    fair: tuple[str, ...] | None = None


class Keys(NamedTuple):
    """The keys of one job. `message` is the record's key and chooses the partition."""

    order: str | None
    unique: str | None
    limit: str | None
    fair: str | None
    message: str | None
    """None where nothing but the id can choose the partition."""


OPTIONS: Final = KeyRules(("order_by",), ("unique by",), ("limits per",), ("fair_by",))
"""What each key is called where it is declared."""


class JobKeys:
    """Makes the keys of the jobs of one type; immutable, safe to share between threads.

    `pinned` puts all of them into one partition. Raises InvalidOption, which names the fields.
    """

    __slots__ = ("_closed", "_fair", "_limit", "_order", "_place", "_prefix", "_unique", "_writers")

    def __init__(
        self,
        first_name: str,
        fields: Fields,
        rules: KeyRules,
        *,
        pinned: bool = False,
    ) -> None:
        check_fields(fields, rules)
        coarsest = check_nesting(rules)
        distinct: list[tuple[str, ...]] = []
        for names in rules:
            if names is not None and names not in distinct:
                distinct.append(names)
        self._writers = [_writer(names, fields) for names in distinct]
        self._order, self._unique, self._limit, self._fair = (
            -1 if names is None else distinct.index(names) for names in rules
        )
        self._place = _BY_CALLER if coarsest is None else distinct.index(coarsest)
        if pinned:
            self._place = _PINNED
        self._prefix = first_name
        self._closed = ""
        if coarsest is not None:
            self._closed = f"jobs of this type have the key of {', '.join(coarsest)} already"

    def of(self, args: Any, key: str | None) -> Keys:  # noqa: ANN401 - generic in the job type
        """The keys of a job with these args, which their encoder took.

        `key` is the order key that the caller gave; raises InvalidOption where the type makes the
        keys that decide the partition.
        """
        if key is not None and self._closed:
            check_key("key", key)
            if self._order >= 0:
                message = (
                    f"key={key!r} is refused: order_by= makes the key of each job; leave it out"
                )
                raise InvalidOption(message)
            message = (
                f"key={key!r} is refused: {self._closed}, and one partition must hold all jobs of "
                "a key; declare order_by=, with the field that this key is taken from"
            )
            raise InvalidOption(message)
        texts = [write(args) for write in self._writers]
        if self._order >= 0:
            order: str | None = texts[self._order]
        else:
            order = None if key is None else check_key("key", key)
        if self._place >= 0:
            message_key: str | None = texts[self._place]
        else:
            message_key = self._prefix if self._place == _PINNED else key
        return Keys(
            order,
            None if self._unique < 0 else self._prefix + texts[self._unique],
            None if self._limit < 0 else self._prefix + texts[self._limit],
            None if self._fair < 0 else texts[self._fair],
            message_key,
        )


def check_fields(fields: Fields, rules: KeyRules) -> None:
    """Raise InvalidOption for a field that the args do not have, or that can't make a key."""
    for option, names in zip(OPTIONS, rules, strict=True):
        assert option is not None, "each key has a name"  # noqa: S101
        for name in names or ():
            if name not in fields:
                near = get_close_matches(name, fields, n=1)
                fix = f"did you mean {near[0]!r}?" if near else f"they have {', '.join(fields)}"
                message = f"{option[0]} {names!r}: the args have no field {name!r}; {fix}"
                raise InvalidOption(message)
            if problem := fields[name][0]:
                message = f"{option[0]} {names!r}: the field {name!r} {problem}"
                raise InvalidOption(message)


def check_nesting(rules: KeyRules) -> tuple[str, ...] | None:
    """The fields of the coarsest key of order, uniqueness and limits; None without any.

    Raises InvalidOption where the fields of one do not contain those of the next.
    """
    named = [
        (option[0], names)
        for option, names in zip(OPTIONS[:3], rules[:3], strict=True)
        if option is not None and names is not None
    ]
    named.sort(key=lambda each: len(each[1]))
    for (coarse, few), (fine, many) in itertools.pairwise(named):
        if not set(few) <= set(many):
            message = (
                f"{coarse} {few!r} and {fine} {many!r} do not nest: jobs that share one key must "
                f"stand in one partition, so the fields of one must contain those of the other; "
                f"add {', '.join(sorted(set(few) - set(many)))} to {fine}, or leave one out"
            )
            raise InvalidOption(message)
    return named[0][1] if named else None


def key_of(names: tuple[str, ...], values: tuple[Any, ...], fields: Fields) -> str:
    """The key that jobs have in whose args these fields have these values."""
    texts = [fields[name][1](value) for name, value in zip(names, values, strict=True)]
    return bounded(f"[{','.join(texts)}]")


def bounded(text: str) -> str:
    """The text if it is short, else its hash."""
    if len(text) <= _SURELY_SHORT or len(data := text.encode()) <= KEY_BYTES_MAX:
        return text
    return f"sha256:{sha256(data).hexdigest()[:_HASH_DIGITS]}"


def _writer(names: tuple[str, ...], fields: Fields) -> Callable[[Any], str]:
    """The function from args to the JSON list of the values of these fields."""
    if len(names) == 1:
        get, text = attrgetter(names[0]), fields[names[0]][1]
        return lambda args: bounded(f"[{text(get(args))}]")
    steps = [(attrgetter(name), fields[name][1]) for name in names]
    return lambda args: bounded("[" + ",".join([text(get(args)) for get, text in steps]) + "]")
