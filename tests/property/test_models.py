"""Models of pydantic and structs of msgspec are to a codec what the same dataclass is."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.parts import Colour, Line

from jobstream_schemas import Catalogue, DecimalSpec, JobCodec, Meta, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

META = Meta("j-1", 1_000, "test")


@dataclass(frozen=True)
class Everything:
    text: str
    whole: int
    real: float
    flag: bool
    raw: bytes
    ident: UUID
    price: Annotated[Decimal, DecimalSpec(20, 4)]
    day: date
    instant: datetime
    colour: Colour
    line: Line
    lines: list[Line]
    pairs: tuple[float, ...]
    names: dict[str, int]
    size: Literal["s", "m"]
    password: Annotated[str, Secret]
    maybe: int | None = None
    tags: list[str] = field(default_factory=list)
    drawn: str = field(default_factory=lambda: "drawn")
    fallback: str | None = "x"


def pydantic_model(cls: type, fields: dict[str, tuple[Any, Any]]) -> type:
    """The same as a pydantic model."""
    made: Any = {}
    for name, (hint, default) in fields.items():
        if default is MISSING:
            made[name] = (hint, ...)
        elif callable(default):
            made[name] = (hint, pydantic.Field(default_factory=default))
        else:
            made[name] = (hint, default)
    model: type = pydantic.create_model(cls.__name__, **made)
    return model


def msgspec_struct(cls: type, fields: dict[str, tuple[Any, Any]]) -> type:
    """The same as a msgspec struct."""
    made: list[Any] = []
    for name, (hint, default) in fields.items():
        if default is MISSING:
            made.append((name, hint))
        elif callable(default):
            made.append((name, hint, msgspec.field(default_factory=default)))
        else:
            made.append((name, hint, default))
    struct: type = msgspec.defstruct(cls.__name__, made, frozen=True)
    return struct


MAKERS = {"pydantic": pydantic_model, "msgspec": msgspec_struct}


def like(cls: type, make: Callable[[type, dict[str, tuple[Any, Any]]], type]) -> type:
    """A class of the other kind with the fields of this dataclass, those within as well."""
    hints = get_type_hints(cls, include_extras=True)
    fields = {}
    for each in dataclasses.fields(cls):
        default = each.default if each.default_factory is MISSING else each.default_factory
        fields[each.name] = (_translated(hints[each.name], make), default)
    return make(cls, fields)


KNOWN: dict[tuple[type, Any], type] = {}


def _translated(hint: Any, make: Any) -> Any:  # noqa: ANN401 - any type
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if (hint, make) not in KNOWN:
            KNOWN[hint, make] = like(hint, make)
        return KNOWN[hint, make]
    if get_origin(hint) in {list, tuple}:
        return get_origin(hint)[tuple(_translated(each, make) for each in get_args(hint))]
    return hint


def turned(value: Any, into: type) -> Any:  # noqa: ANN401 - any value
    """The dataclass's values in the other class."""
    hints = get_type_hints(into, include_extras=True)
    made = {}
    for each in dataclasses.fields(value):
        held = getattr(value, each.name)
        if isinstance(held, Line):
            held = turned(held, hints[each.name])
        elif isinstance(held, list) and held and isinstance(held[0], Line):
            held = [turned(line, get_args(hints[each.name])[0]) for line in held]
        made[each.name] = held
    return into(**made)


KINDS = {name: like(Everything, make) for name, make in MAKERS.items()}
CODECS: dict[str, JobCodec[Any]] = {name: JobCodec(cls, "all-types") for name, cls in KINDS.items()}
PLAIN = JobCodec(Everything, "all-types")

TEXT = st.text(max_size=40)
LONG = st.integers(-(2**63), 2**63 - 1)
LINES = st.builds(Line, TEXT, LONG)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FIRST, LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001  # naive bounds are wanted
ARGS = st.builds(
    Everything,
    text=TEXT,
    whole=LONG,
    real=st.floats(allow_nan=False),
    flag=st.booleans(),
    raw=st.binary(max_size=80),
    ident=st.uuids(),
    price=st.decimals(-(10**15), 10**15, places=4),
    day=st.dates(),
    instant=st.datetimes(FIRST, LAST, timezones=OFFSETS),
    colour=st.sampled_from(Colour),
    line=LINES,
    lines=st.lists(LINES, max_size=3),
    pairs=st.lists(st.floats(allow_nan=False), max_size=9).map(tuple),
    names=st.dictionaries(TEXT, LONG, max_size=3),
    size=st.sampled_from(["s", "m"]),
    password=TEXT,
    maybe=st.none() | LONG,
    tags=st.lists(TEXT, max_size=3),
    drawn=TEXT,
    fallback=st.none() | TEXT,
)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_fields_have_the_same_schema_and_fingerprint(kind: str) -> None:
    codec = CODECS[kind]

    assert codec.schema.json == PLAIN.schema.json
    assert codec.schema.fingerprint == PLAIN.schema.fingerprint


@pytest.mark.parametrize("kind", MAKERS)
@given(args=ARGS)
def test_what_was_enqueued_is_what_the_handler_gets(kind: str, args: Everything) -> None:
    codec, given_args = CODECS[kind], turned(args, KINDS[kind])

    value = codec.encode(META, given_args)

    assert codec.args(value) == given_args
    assert type(codec.args(value)) is KINDS[kind]
    assert value == PLAIN.encode(META, args)
    assert PLAIN.args(value) == args
    assert codec.value_digest(given_args) == PLAIN.value_digest(args)


@dataclass(frozen=True)
class Before:
    text: str
    whole: int


@dataclass(frozen=True)
class After:
    text: str
    whole: float
    more: str = "more"
    drawn: str = field(default_factory=lambda: "drawn")


@dataclass(frozen=True)
class Broken:
    text: str
    needed: str


@pytest.mark.parametrize("kind", MAKERS)
def test_jobs_of_another_version_are_read_by_the_same_rules(kind: str) -> None:
    make = MAKERS[kind]
    old: JobCodec[Any] = JobCodec(like(Before, make), "job")
    new: JobCodec[Any] = JobCodec(like(After, make), "job")
    catalogue = Catalogue()
    for codec in (old, new):
        catalogue.register(codec.schema)
    value = old.encode(META, turned(Before("a", 2), old.cls))

    decoded = catalogue.decode(value)
    reader = catalogue.get(decoded.fingerprint)
    assert reader is not None
    args: Any = reader.args(value, decoded.args_bytes_at, new)

    assert type(args) is new.cls
    assert (args.text, args.whole, args.more, args.drawn) == ("a", 2.0, "more", "drawn")
    broken: JobCodec[Any] = JobCodec(like(Broken, make), "job")
    with pytest.raises(Exception, match=r"args\.needed: was not written, and has no default"):
        reader.args(value, decoded.args_bytes_at, broken)
