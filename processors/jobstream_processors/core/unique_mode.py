"""What a job asks of its unique key. It travels with the job, in the text of the key itself.

So a job means the same to every version of the code that meets it, and to a worker that knows
nothing of its type. Jobs that ask for one key in different ways still share it.
"""

from __future__ import annotations

from typing import NamedTuple

KEEP_FIRST = "keep_first"
KEEP_LATEST = "keep_latest"
UNTIL_DONE = "done"
UNTIL_START = "start"
WITHIN = "within"
"""Says only that the id of the job was made from its key: the worker need not look at it."""
DEBOUNCE = "debounce"
MARK = "!"
"""Begins the text of a key that says how it is wanted."""
_NUMBERS = 3


class Mode(NamedTuple):
    """How a job wants its key. Durations are milliseconds."""

    latest: bool = False
    """Where another holds the key it waits, as the newest, instead of ending as a duplicate."""
    until_start: bool = False
    """It gives the key up as it begins, not as it ends."""
    expires_ms: int = 3_600_000
    """It gives the key up when it was enqueued so long ago, if nothing else did that."""
    wait_ms: int = 0
    """It waits so long first; 0: not at all."""
    wait_max_ms: int = 0
    """Its burst, with those that came before it, waits so long at most."""


class UniqueKey(NamedTuple):
    """A unique key as it stands in an event, read."""

    mode: Mode | None
    """None where it only names the window that its id was made of."""
    text: str
    """The key without its mode."""


def told(mode: Mode, key: str) -> str:
    """The text of a key that is wanted so."""
    if mode.wait_ms:
        return f"{MARK}{DEBOUNCE},{mode.wait_ms},{mode.wait_max_ms},{mode.expires_ms};{key}"
    kept = KEEP_LATEST if mode.latest else KEEP_FIRST
    until = UNTIL_START if mode.until_start else UNTIL_DONE
    return f"{MARK}{kept},{until},{mode.expires_ms};{key}"


def told_within(key: str) -> str:
    """The text of a key that an id was made of."""
    return f"{MARK}{WITHIN};{key}"


def is_within(text: str) -> bool:
    """Whether the key only says of what its job's id was made."""
    return text.startswith(f"{MARK}{WITHIN};")


def read(text: str, default: Mode) -> UniqueKey:
    """The key in a text. One that says nothing of how it is wanted, from any client, is `default`.

    What a later version may say here is taken for a part of the key.
    """
    head, semicolon, key = text.partition(";")
    if not semicolon or not head.startswith(MARK):
        return UniqueKey(default, text)
    name, *rest = head[len(MARK) :].split(",")
    if name == WITHIN and not rest:
        return UniqueKey(None, key)
    if name == DEBOUNCE and len(rest) == _NUMBERS and all(map(_is_number, rest)):
        wait_ms, wait_max_ms, expires_ms = map(int, rest)
        return UniqueKey(Mode(True, False, expires_ms, wait_ms, wait_max_ms), key)  # noqa: FBT003
    if (
        name in {KEEP_FIRST, KEEP_LATEST}
        and len(rest) == _NUMBERS - 1
        and rest[0] in {UNTIL_DONE, UNTIL_START}
        and _is_number(rest[1])
    ):
        mode = Mode(name == KEEP_LATEST, rest[0] == UNTIL_START, int(rest[1]))
        return UniqueKey(mode, key)
    return UniqueKey(default, text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15  # noqa: PLR2004 - few digits
