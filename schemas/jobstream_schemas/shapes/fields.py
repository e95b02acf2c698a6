"""One field of a record class: its shape, its default, and whether it is secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from jobstream_schemas.errors import EncodeError, JsonMisfit, UnsupportedType
from jobstream_schemas.record_classes import declared_fields
from jobstream_schemas.secret import is_secret, value_parts
from jobstream_schemas.shapes.shape import Encoder, Names, Shape, Teller
from jobstream_schemas.wire_names import DEFAULT_PROPERTY, SECRET_PROPERTY, is_avro_name

if TYPE_CHECKING:
    from jobstream_schemas.avro_json import Json
    from jobstream_schemas.record_classes import DeclaredField
    from jobstream_schemas.secret import Finder
    from jobstream_schemas.shapes.kind import FieldPlace

_EMPTY_FACTORIES = (list, dict, tuple)


@dataclass(frozen=True, slots=True)
class FieldOf:
    """A field; `default` is `MISSING` where it has none or makes it anew."""

    name: str
    shape: Shape
    default: object = MISSING
    factory: Callable[[], object] | None = None
    """Makes its default, where that is not a constant."""
    secret: bool = False
    """Its value, and all within it, is never to be shown."""

    @property
    def has_default(self) -> bool:
        """Whether the class can be called without it."""
        return self.default is not MISSING or self.factory is not None

    def avro(self, cls: type, names: Names) -> Json:
        """The field as its record has it; raises `UnsupportedType` for a default that can't be."""
        schema: Json = {"name": self.name, "type": self.shape.avro(names)}
        if self.secret:
            schema[SECRET_PROPERTY] = True
        default = self._avro_default(cls)
        if default is not MISSING:
            schema["default"] = default
        elif self.has_default:
            schema[DEFAULT_PROPERTY] = True
        return schema

    def _avro_default(self, cls: type) -> object:
        if self.default is MISSING:
            return MISSING
        try:
            self.shape.encoder()(self.default)
        except EncodeError as error:
            message = f"{cls.__name__}.{self.name}: default does not fit its type: {error}"
            raise UnsupportedType(message) from error
        return self.shape.avro_default(self.default)

    def encoder(self) -> Encoder:
        """As its shape's; where it is secret, errors tell neither the value nor what is in it."""
        step = self.shape.encoder()
        if not self.secret:
            return step

        def encode(value: object) -> bytes:
            try:
                return step(value)
            except EncodeError:
                message = f"got a {type(value).__name__} that does not fit; its value is secret"
            raise EncodeError(message)

        return encode

    def default_told(self, tell: Teller) -> Callable[[], object] | None:
        """The function to what the field says when it holds its default; None without one."""
        if self.default is not MISSING:
            said = tell(self.default)
            return lambda: said
        make = self.factory
        if make is None:
            return None

        def made() -> object:
            try:
                return tell(make())
            except Exception:  # noqa: BLE001 - user code, and the default was not asked for
                return MISSING

        return made

    def secrets(self) -> Finder | None:
        """From its value to the secret parts of it."""
        return value_parts if self.secret else self.shape.secrets()

    def from_json(self, value: object, path: str) -> Any:  # noqa: ANN401 - of its type
        """As its shape's; where it is secret, errors do not tell the value."""
        try:
            return self.shape.from_json(value, path)
        except JsonMisfit:
            if not self.secret:
                raise
        message = f"{path}: a value that does not fit its type; it is secret and not shown"
        raise JsonMisfit(message)


def fields_of(cls: type, place: FieldPlace) -> tuple[FieldOf, ...]:
    """Read the fields of a record class; raises as `FieldPlace.shape` does."""
    hints, declared = _hints(cls), declared_fields(cls)
    return tuple(_field_of(cls, field, hints[field.name], place) for field in declared)


def _hints(cls: type) -> dict[str, object]:
    try:
        return get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        message = f"{cls.__name__}: a field's type cannot be resolved ({error}); declare it at the"
        message += " module's top level and import it outside TYPE_CHECKING"
        raise UnsupportedType(message) from error


def _field_of(cls: type, field: DeclaredField, hint: object, place: FieldPlace) -> FieldOf:
    place = place.within(cls, field.name)
    if not is_avro_name(field.name):
        message = f"{place.field}: use ASCII letters, digits and '_' in a field's name"
        raise UnsupportedType(message)
    shape = place.shape(hint)
    default, factory = field.default, field.factory
    # Only empty containers: another factory (a new id, the time) has no value a schema can hold.
    if factory is not None and factory in _EMPTY_FACTORIES:
        default, factory = factory(), None
    if default is not MISSING:
        shape = shape.with_default(default)
    return FieldOf(field.name, shape, default, factory, is_secret(hint))
