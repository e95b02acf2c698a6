"""The classes that may be a job's args: dataclasses, models of pydantic, structs of msgspec.

Neither library is imported here: a class of one exists only where somebody imported it. What is
read of a class is the same for all: its fields in their order, with their types and defaults.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from jobstream_schemas.errors import EncodeError, UnsupportedType, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = "a dataclass, a pydantic model or a msgspec struct"


class DeclaredField(NamedTuple):
    """A field as its class declares it."""

    name: str
    default: object
    """`MISSING` where it has none, or makes it anew."""
    factory: Callable[[], object] | None


def is_record_class(hint: object) -> bool:
    """Whether it is a class whose instances can be a job's args."""
    return isinstance(hint, type) and (
        dataclasses.is_dataclass(hint) or _is_model(hint) or _is_struct(hint)
    )


def is_record(value: object) -> bool:
    """Whether it is an instance of such a class."""
    return is_record_class(type(value))


def declared_fields(cls: type) -> list[DeclaredField]:
    """Its fields; raises `UnsupportedType` where an instance would hold more, or other things."""
    if dataclasses.is_dataclass(cls):
        found = [
            DeclaredField(f.name, f.default, _given(f.default_factory))
            for f in dataclasses.fields(cls)
        ]
        _check_constructor(cls, {field.name for field in found})
        return found
    return _model_fields(cls) if _is_model(cls) else _struct_fields(cls)


def field_names(cls: type) -> list[str]:
    """The names of its fields, in order."""
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    if _is_model(cls):
        return [*cls.model_fields]  # type: ignore[attr-defined] # pydantic is not imported here
    return [*cls.__struct_fields__]  # type: ignore[attr-defined] # nor is msgspec


def with_value(made: object, name: str, value: object) -> None:
    """Set a field of an instance, be its class frozen or not, and check nothing."""
    if _is_struct(type(made)):
        sys.modules["msgspec"].structs.force_setattr(made, name, value)
    elif _is_model(type(made)):
        made.__dict__[name] = value
    else:
        object.__setattr__(made, name, value)


def checks_of(cls: type, secret: frozenset[str]) -> Callable[[Any], None] | None:
    """What the class itself checks of an instance whose fields have the right types; None: nothing.

    The function raises `EncodeError`, naming each field, for what a worker would refuse: values
    that were set without its checks, and those that its own validators change once more. `secret`
    are fields of which no value is told. A dataclass has checked itself when it was made.
    """
    if _is_model(cls):
        return _model_checks(cls, secret)
    return _struct_checks(cls, secret) if _is_struct(cls) else None


def refusal(error: Exception) -> str:
    """What the class says of values that it refuses; one line, whatever its library is."""
    invalid: Any = getattr(sys.modules.get("pydantic"), "ValidationError", None)
    if invalid is None or not isinstance(error, invalid):
        return text_of(error)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{_path(each['loc'])}{each['msg']}" for each in found)


# -- pydantic


def _is_model(cls: type) -> bool:
    return _is_of(cls, "pydantic", "BaseModel")


def _model_fields(cls: Any) -> list[DeclaredField]:  # noqa: ANN401 - pydantic is not imported here
    config, base = cls.model_config, sys.modules["pydantic"].BaseModel
    problem = ""
    if config.get("extra") == "allow":
        problem = "extra='allow' keeps values that no schema has; use 'forbid' or 'ignore'"
    elif cls.__private_attributes__:
        name = next(iter(cls.__private_attributes__))
        problem = f"the private attribute {name} would be lost; make it a field, or a property"
    elif cls.__init__ is not base.__init__:
        problem = "it has an __init__ of its own; use validators"
    elif getattr(cls, "__pydantic_root_model__", False):
        problem = "a root model is no record; declare a field"
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    found = []
    for name, field in cls.model_fields.items():
        if (field.alias or field.validation_alias) and not by_name:
            problem = problem or f"{name} has an alias; set validate_by_name=True beside it"
        if getattr(field, "default_factory_takes_validated_data", False):
            problem = problem or f"the default of {name} is made of other fields; use a validator"
        default = MISSING if field.is_required() or field.default_factory else field.default
        found.append(DeclaredField(name, default, field.default_factory))
    if problem:
        message = f"{cls.__name__}: {problem}"
        raise UnsupportedType(message)
    return found


def _model_checks(cls: Any, secret: frozenset[str]) -> Callable[[Any], None]:  # noqa: ANN401 - as above
    validation_error, names = sys.modules["pydantic"].ValidationError, [*cls.model_fields]

    def check(value: Any) -> None:  # noqa: ANN401 - an instance of the class
        held = {name: getattr(value, name) for name in names}
        try:
            again = cls(**held)
        except validation_error as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise _joined([_refused(each["loc"], each["msg"], secret) for each in found]) from None
        except Exception as error:  # noqa: BLE001 - user code, which may raise anything
            said = type(error).__name__ if secret else f"{type(error).__name__}: {text_of(error)}"
            message = f"its validators raise {said}"
            raise EncodeError(message) from None
        changed = [name for name in names if not _same(held[name], getattr(again, name))]
        if changed:
            message = (
                "its validator changes the value once more, as it would in the worker; let it "
                "return what it has returned before as it is"
            )
            raise _joined([EncodeError(message, f".{name}") for name in changed])

    return check


def _refused(loc: tuple[object, ...], said: str, secret: frozenset[str]) -> EncodeError:
    path = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in loc)
    # Messages of user code may hold values, and those of a whole model any of them.
    hidden = bool(secret) if not loc else loc[0] in secret
    return EncodeError("it does not fit; its value is secret" if hidden else said, path)


# -- msgspec


def _is_struct(cls: type) -> bool:
    return _is_of(cls, "msgspec", "Struct")


def _struct_fields(cls: type) -> list[DeclaredField]:
    msgspec: Any = sys.modules["msgspec"]
    found = [
        DeclaredField(
            field.name,
            MISSING if field.default is msgspec.NODEFAULT else field.default,
            None if field.default_factory is msgspec.NODEFAULT else field.default_factory,
        )
        for field in msgspec.structs.fields(cls)
    ]
    _check_constructor(cls, {field.name for field in found})
    return found


def _struct_checks(cls: type, secret: frozenset[str]) -> Callable[[Any], None] | None:
    """The constraints of `msgspec.Meta`: the library looks at them only where it decodes."""
    msgspec: Any = sys.modules["msgspec"]
    hints = get_type_hints(cls, include_extras=True)
    steps = [
        (name, hints[name]) for name in field_names(cls) if _has_meta(hints[name], msgspec.Meta)
    ]
    if not steps:
        return None

    def check(value: Any) -> None:  # noqa: ANN401 - an instance of the class
        wrong = []
        for name, hint in steps:
            try:
                msgspec.convert(getattr(value, name), hint)
            except msgspec.ValidationError as error:
                wrong.append(_refused((name,), str(error), secret))
        if wrong:
            raise _joined(wrong)

    return check


def _has_meta(hint: object, meta: type) -> bool:
    if isinstance(hint, meta):
        return True
    parts = (*getattr(hint, "__args__", ()), *getattr(hint, "__metadata__", ()))
    return any(_has_meta(part, meta) for part in parts)


# -- what they share


def _is_of(cls: type, module: str, name: str) -> bool:
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and cls is not base and issubclass(cls, base)


def _check_constructor(cls: type, names: set[str]) -> None:
    # A decoded job is rebuilt by calling the class with its fields by name, and only with those.
    given = inspect.signature(cls).parameters
    if set(given) == names:
        return
    odd = ", ".join(sorted(set(given) ^ names))
    message = f"{cls.__name__}: {odd} differs between fields and __init__; use no InitVar,"
    message += " init=False or __init__ of your own"
    raise UnsupportedType(message)


def _given(factory: Any) -> Callable[[], object] | None:  # noqa: ANN401 - MISSING or a function
    return None if factory is MISSING else factory


def _same(one: object, other: object) -> bool:
    # A NaN is unequal to itself, and a value that can't be compared is not looked at further.
    try:
        return bool(one == other) or repr(one) == repr(other)
    except Exception:  # noqa: BLE001 - user code
        return True


def _joined(errors: list[EncodeError]) -> EncodeError:
    first, *others = errors
    for other in others:
        first.join(other)
    return first


def _path(loc: tuple[object, ...]) -> str:
    return "".join(f"{part}: " for part in (".".join(map(str, loc)),) if part)
