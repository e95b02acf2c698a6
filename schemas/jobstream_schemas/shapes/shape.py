"""The verbs that every kind of argument type has.

Each verb is called once for a class, and returns the plain function that runs for each job.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from jobstream_schemas.errors import UnsupportedType
from jobstream_schemas.shapes.key_text import PARTS, KeyField, never
from jobstream_schemas.shapes.written import WriterSchema, by_branch, plainly, refuse

if TYPE_CHECKING:
    from jobstream_schemas.secret import Finder

Encoder: TypeAlias = Callable[[object], bytes]
"""From a value to Avro bytes. Raises `EncodeError` with the path inside the value.

The Avro library does not validate (it writes a bool where a long belongs), and validating apart
costs a second pass, so each encoder checks and writes at once. It runs no code of the class but
attribute access.
"""
Decoder: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""From bytes of this very schema, and a position, to a value and the next position.

Nearly all bytes are: this takes half the time of the library's dict turned into the class. The
class's own checks run. Raises `SchemaMismatch` for what they refuse, and for a text that is none
of a Literal's values. For bytes that hold no such value it raises `DecodeError`, or `IndexError`,
`ValueError` and the like; the caller makes one error of them. A text cut short is noticed at the
end, by a position beyond the data (see `primitives`).
"""
Step: TypeAlias = Callable[[Any], Any]
"""From a value, as the library reads it by its writer's schema, to one of the declared type."""
Teller: TypeAlias = Callable[[Any], object]
"""From a value that its encoder took to plain ints, bytes, tuples and None (`value_digest`)."""


class Names:
    """The classes that a schema defines so far: each is a named type there, once."""

    def __init__(self, args: type) -> None:
        self.classes = {"Args": args}

    def has(self, cls: type) -> bool:
        """Whether the schema defines this class already; notes it if not."""
        name = cls.__name__
        if name not in self.classes:
            self.classes[name] = cls
            return False
        known = self.classes[name]
        if known is not cls:
            message = (
                f"two classes are called {name} in one job ({known.__module__}."
                f"{known.__qualname__}, {cls.__module__}.{cls.__qualname__}): rename one"
                " (the args class itself counts as Args)"
            )
            raise UnsupportedType(message)
        return True


class Shape(ABC):
    """A type as a field declares it."""

    __slots__ = ()
    takes_none: ClassVar[bool] = False

    @abstractmethod
    def avro(self, names: Names) -> object:
        """Its Avro type. Notes in `names` which classes it defines."""

    def avro_default(self, value: Any) -> object:  # noqa: ANN401 - of this type
        """The value as a JSON default of the Avro 1.12 specification; `MISSING` if it has none."""
        return value

    def with_default(self, _: object) -> Self:
        """The shape of a field with that default."""
        return self

    @abstractmethod
    def encoder(self) -> Encoder:
        """The function that checks a value and writes it."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """The function that reads a value of this very schema."""

    @abstractmethod
    def resolve(self, writer: Any, path: str, schema: WriterSchema) -> Step | None:  # noqa: ANN401 - a type in JSON
        """How to read what was written as that type, not a union; None where it is the same.

        The rules are Avro's ("Schema Resolution" in the 1.12 specification), but for two: a field
        that the writer did not have is left out of the call of the class, so Python's own default
        applies, whatever it is; and an `int` that no float can hold is not rounded. Raises
        `SchemaMismatch` where no value can be read, and so does the function for single values.
        """

    def step(self, writer: Any, path: str, schema: WriterSchema) -> Step | None:  # noqa: ANN401 - a type in JSON
        """`resolve` for a type that may be a union: by the branch a value was written with."""
        writer = plainly(writer, schema)
        if isinstance(writer, list):
            return by_branch(writer, schema, lambda branch: self._branch(branch, path, schema))
        return self.resolve(writer, path, schema)

    def _branch(self, branch: object, path: str, schema: WriterSchema) -> Step | None:
        if branch == "null" and not self.takes_none:
            refuse(path, "was written as None, and may not be None any more")
        return self.step(branch, path, schema)

    @abstractmethod
    def teller(self) -> Teller:
        """The function that puts down what a value says, for a digest."""

    def secrets(self) -> Finder | None:
        """From a value to its secret parts, leaf by leaf; None where no field is marked."""
        return None

    def key_field(self) -> KeyField:
        """What a field of this type is in a key."""
        return never(PARTS)

    @abstractmethod
    def from_json(self, value: object, path: str) -> Any:  # noqa: ANN401 - of this type
        """The value that JSON values stand for; raises `JsonMisfit` with every wrong part."""

    @abstractmethod
    def json_words(self) -> str:
        """What to give in JSON, in words."""

    @abstractmethod
    def sample(self) -> Any:  # noqa: ANN401 - any JSON
        """An example in JSON."""
