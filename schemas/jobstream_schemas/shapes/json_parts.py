"""Reading JSON values part by part: one that does not fit hides no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from jobstream_schemas.errors import JsonMisfit

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class JsonParts:
    """Goes on after a part that does not fit, to name all of them."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def part(self, read: Callable[[object, str], T], value: object, path: str) -> T | None:
        """What is read; None, which is never used, if it does not fit."""
        try:
            return read(value, path)
        except JsonMisfit as misfit:
            self.wrong += misfit.lines
            return None

    def end(self) -> None:
        """Raise `JsonMisfit` if any part did not fit."""
        if self.wrong:
            raise JsonMisfit(*self.wrong)


def json_object(value: object, path: str) -> dict[str, Any]:
    """The value, if it is an object of JSON; raises `JsonMisfit`."""
    if not isinstance(value, dict):
        raise JsonMisfit.of(value, path, "an object")
    return value
