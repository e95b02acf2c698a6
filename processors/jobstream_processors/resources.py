"""What the lifespans of a process yielded, found by class: what handlers share, such as pools."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jobstream_processors.errors import InvalidOption, NoResource

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = TypeVar("Kind")
Managed = AbstractAsyncContextManager[Any] | AbstractContextManager[Any]


@dataclass(frozen=True, slots=True)
class Lifespan:
    """One lifespan, as the app declares it."""

    name: str
    open: Callable[[], Managed]


class Resources:
    """What the lifespans of this process yielded. `ctx.resources[Pool]` is its Pool.

    Safe from any thread, as far as what is found in it is.
    """

    __slots__ = ("_by_class", "_values")

    def __init__(self, values: Iterable[object] = ()) -> None:
        """Nones are left out; raises InvalidOption if two values have the same class."""
        self._values = tuple(value for value in values if value is not None)
        self._by_class: dict[type[object], object] = {}
        for value in self._values:
            kind = type(value)
            if kind in self._by_class:
                message = (
                    f"two resources are of the class {kind.__qualname__}; resources are found by "
                    "their class, so wrap one of them in a class of its own"
                )
                raise InvalidOption(message)
            self._by_class[kind] = value

    def __repr__(self) -> str:
        return f"<Resources: {self._listed()}>"

    def __getitem__(self, kind: type[Kind]) -> Kind:
        """The one of that class, else the only one of a class below it.

        Raises NoResource where there is none, or more than one.
        """
        found = self._by_class.get(kind)
        if found is None:
            found = self._by_class[kind] = self._only(kind)
        return cast("Kind", found)

    def __contains__(self, kind: type[object]) -> bool:
        """Whether there is one of that class, or below it."""
        return any(isinstance(value, kind) for value in self._values)

    def _only(self, kind: type[object]) -> object:
        matches = [value for value in self._values if isinstance(value, kind)]
        if len(matches) == 1:
            return matches[0]
        called = getattr(kind, "__qualname__", repr(kind))
        number = "several resources are" if matches else "no resource is"
        message = (
            f"{number} of the class {called}; there are: {self._listed()}. Resources are what the "
            "functions under @app.lifespan yield; a test gives them by resources=[...]"
        )
        raise NoResource(message)

    def _listed(self) -> str:
        return ", ".join(type(value).__qualname__ for value in self._values) or "none"


NO_RESOURCES = Resources()
