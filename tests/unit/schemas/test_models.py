"""Models of pydantic and structs of msgspec as args: what is refused, when, and what is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from jobstream import App, ConfigError, Context, Job, WrongArgs
from jobstream.testing import memory
from jobstream_schemas import (
    EncodeError,
    JobCodec,
    JsonMisfit,
    Meta,
    SchemaMismatch,
    SchemaRefused,
    Secret,
    UnsupportedType,
)
from jobstream_schemas.secret import shown

META = Meta("j-1", 1_000, "test")


class Line(BaseModel):
    sku: str
    count: int = Field(default=1, ge=1)


class Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    order_id: str = Field(min_length=2)
    lines: list[Line] = []
    card: Annotated[str, Secret] = Field(default="none", min_length=4)


class Part(Struct, frozen=True):
    sku: str
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


class Parcel(Struct, frozen=True):
    to: Annotated[str, msgspec.Meta(min_length=2)]
    parts: list[Part] = []
    weights: list[Annotated[float, msgspec.Meta(gt=0)]] = []
    code: Annotated[str, msgspec.Meta(max_length=4), Secret] = "none"


ORDER, PARCEL = JobCodec(Order, "order"), JobCodec(Parcel, "parcel")


def test_a_handler_takes_a_model_and_gets_one() -> None:
    app = App("shop")
    seen: list[object] = []

    @app.job
    async def pack(args: Order) -> None:
        seen.append(args)

    @app.job
    def ship(args: Parcel, ctx: Context) -> None:
        ctx.enqueue(pack, Order(order_id=args.to))
        seen.append(args)

    jobs: tuple[Job[Any, Any], ...] = (pack, ship)
    with memory(app) as memory_jobs:
        pack.enqueue(Order(order_id="o-1", lines=[Line(sku="cup")]))
        ship.enqueue(Parcel("ann", [Part("cup", 2)], [0.5]))
        memory_jobs.run_until_idle()
        for job in jobs:
            memory_jobs.assert_done(job)
        memory_jobs.assert_enqueued(pack, Order(order_id="ann"))

    assert Order(order_id="o-1", lines=[Line(sku="cup")]) in seen
    assert Parcel("ann", [Part("cup", 2)], [0.5]) in seen


@pytest.mark.parametrize(
    ("codec", "args", "told"),
    [
        (ORDER, Order.model_construct(order_id=5), r"Order\.order_id: got 5 \(int\); pass a str"),
        (
            ORDER,
            Order.model_construct(lines=[Line.model_construct(count=2)], card=5),
            r"(?s)^3 fields.*Order\.order_id: it was never set.*lines\[0\]\.sku: it.*\.card: ",
        ),
        (
            ORDER,
            Order.model_construct(order_id="o"),
            r"Order\.order_id: String should have at least 2 characters",
        ),
        (
            ORDER,
            Order.model_construct(order_id="o-1", lines=[Line.model_construct(sku="a", count=0)]),
            r"Order\.lines\[0\]\.count: Input should be greater than or equal to 1",
        ),
        (
            ORDER,
            Order.model_construct(order_id="o-1", card="123"),
            r"^Order\.card: it does not fit; its value is secret$",
        ),
        (PARCEL, Parcel(5), r"Parcel\.to: got 5 \(int\); pass a str"),  # type: ignore[arg-type]
        (PARCEL, Parcel("a"), r"Parcel\.to: Expected `str` of length >= 2"),
        (PARCEL, Parcel("ann", [Part("c", 0)]), r"Parcel\.parts\[0\]\.count: Expected `int` >= 1"),
        (PARCEL, Parcel("ann", weights=[1.0, 0.0]), r"Parcel\.weights: Expected `float` > 0\.0"),
        (
            PARCEL,
            Parcel("ann", code="12345"),
            r"^Parcel\.code: it does not fit; its value is secret$",
        ),
    ],
)
def test_what_does_not_fit_is_refused_at_the_enqueue_by_field(
    codec: JobCodec[Any], args: object, told: str
) -> None:
    with pytest.raises(EncodeError, match=told):
        codec.encode(META, args)


def test_all_fields_are_told_at_once_and_the_caller_gets_wrong_args() -> None:
    app = App("shop")
    send = app.declare("send", Parcel)

    with memory(app), pytest.raises(WrongArgs, match="2 fields do not fit") as wrong:
        send.enqueue(Parcel("a", weights=[-1.0]))

    assert "Parcel.to: Expected" in str(wrong.value)
    assert "Parcel.weights: Expected" in str(wrong.value)


class Richer(Order):
    more: str = ""


class RicherParcel(Parcel, frozen=True):
    more: str = ""


@pytest.mark.parametrize(
    ("codec", "args"),
    [(ORDER, Richer(order_id="o-1")), (PARCEL, RicherParcel("ann")), (ORDER, Parcel("ann"))],
)
def test_instances_of_other_classes_are_refused(codec: JobCodec[Any], args: object) -> None:
    with pytest.raises(EncodeError, match="got an instance of"):
        codec.encode(META, args)


class Lower(BaseModel):
    """Its validator gives the same however often it runs."""

    name: str

    @field_validator("name")
    @classmethod
    def lower(cls, name: str) -> str:
        return name.lower()


class Doubling(BaseModel):
    """Its validator does not."""

    name: str

    @field_validator("name")
    @classmethod
    def double(cls, name: str) -> str:
        return name + name


def test_a_validator_that_changes_values_twice_is_refused_at_the_enqueue() -> None:
    codec = JobCodec(Lower, "lower")
    assert codec.args(codec.encode(META, Lower(name="ANN"))) == Lower(name="ann")

    with pytest.raises(EncodeError, match=r"Doubling\.name: its validator changes the value once"):
        JobCodec(Doubling, "doubling").encode(META, Doubling(name="ann"))


class Span(BaseModel):
    """Checks its fields together, and raises what is no error of pydantic's."""

    first: int
    last: int

    @model_validator(mode="after")
    def check(self) -> Span:
        if self.last == 99:
            message = "no such span"
            raise LookupError(message)
        if self.first > self.last:
            message = f"{self.first} is after {self.last}"
            raise ValueError(message)
        return self


class SecretSpan(Span):
    code: Annotated[str, Secret] = ""


def test_checks_of_a_whole_model_are_told_without_values_where_any_is_secret() -> None:
    wrong: dict[str, Any] = {"first": 5, "last": 3}
    with pytest.raises(EncodeError, match=r"^Span: Value error, 5 is after 3$"):
        JobCodec(Span, "span").encode(META, Span.model_construct(**wrong))
    with pytest.raises(EncodeError, match=r"^Span: its validators raise LookupError: no such span"):
        JobCodec(Span, "span").encode(META, Span.model_construct(first=5, last=99))

    codec = JobCodec(SecretSpan, "span")
    with pytest.raises(EncodeError, match=r"^SecretSpan: it does not fit; its value is secret$"):
        codec.encode(META, SecretSpan.model_construct(**wrong, code=""))
    with pytest.raises(EncodeError, match=r"^SecretSpan: its validators raise LookupError$"):
        codec.encode(META, SecretSpan.model_construct(first=5, last=99, code=""))


def test_what_new_code_refuses_is_a_mismatch_that_names_the_field() -> None:
    class Strict(BaseModel):
        order_id: str = Field(min_length=20)
        lines: list[Line] = []
        card: Annotated[str, Secret] = Field(default="none", min_length=4)

    Strict.__name__ = "Order"
    value = ORDER.encode(META, Order(order_id="o-1"))
    new = JobCodec(Strict, "order")

    with pytest.raises(SchemaMismatch, match="Order refuses these values: ValidationError"):
        new.args(value)


def test_json_is_read_into_models_and_told_by_field() -> None:
    shape = ORDER.shape
    made = shape.from_json({"order_id": "o-1", "lines": [{"sku": "cup", "count": 2}]}, "Order")
    assert made == Order(order_id="o-1", lines=[Line(sku="cup", count=2)])

    with pytest.raises(JsonMisfit, match=r"Line: count: Input should be greater than or equal to"):
        JobCodec(Line, "line").shape.from_json({"sku": "a", "count": 0}, "Line")
    with pytest.raises(JsonMisfit, match="Order: its own checks refuse the values"):
        shape.from_json({"order_id": "o"}, "Order")
    with pytest.raises(JsonMisfit, match="did you mean order_id"):
        shape.from_json({"order_idd": "o"}, "Order")


def test_secret_fields_are_found_and_not_shown() -> None:
    for codec, args in (
        (ORDER, Order(order_id="o-1", card="4111")),
        (PARCEL, Parcel("ann", code="4111")),
    ):
        assert codec.secrets is not None
        assert [*codec.secrets(args)] == ["4111"]
        assert "4111" not in shown(args)
        assert "***" in shown(args)
        assert "4111" in repr(args)


class Allows(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Private(BaseModel):
    name: str
    _seen: int = PrivateAttr(0)


class Constructed(BaseModel):
    name: str

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


class Aliased(BaseModel):
    name: str = Field(alias="Name")


class Derived(BaseModel):
    name: str
    twice: str = Field(default_factory=lambda data: str(data["name"]) * 2)


class Root(pydantic.RootModel[list[str]]):
    pass


class Hidden(BaseModel):
    name: pydantic.SecretStr


class Anything(BaseModel):
    name: Any


class Wide(Struct):
    name: object


class Unset(Struct):
    name: str | msgspec.UnsetType = msgspec.UNSET


class Mixed(BaseModel):
    count: int = Field("many")  # type: ignore[assignment] # a default that does not fit


@pytest.mark.parametrize(
    ("cls", "problem"),
    [
        (Allows, "Allows: extra='allow' keeps values that no schema has"),
        (Private, "Private: the private attribute _seen would be lost"),
        (Constructed, "Constructed: it has an __init__ of its own"),
        (Aliased, "Aliased: name has an alias; set validate_by_name=True"),
        (Derived, "Derived: the default of twice is made of other fields"),
        (Root, "Root: a root model is no record|Root: "),
        (Hidden, "Hidden.name: type SecretStr is not supported"),
        (Anything, "Anything.name: type .*Any is not supported"),
        (Wide, "Wide.name: type object is not supported"),
        (Unset, "Unset.name: "),
        (Mixed, "Mixed.count: default does not fit its type"),
        (BaseModel, "can't hold a job's args: give a dataclass, a pydantic model"),
        (Struct, "can't hold a job's args: give a dataclass, a pydantic model"),
    ],
)
def test_classes_that_can_not_be_args_are_refused_at_registration(cls: type, problem: str) -> None:
    with pytest.raises(UnsupportedType, match=problem):
        JobCodec(cls, "refused")
    with pytest.raises(ConfigError):
        App("shop").declare("refused", cls)


def test_a_model_that_contains_itself_is_refused() -> None:
    with pytest.raises(SchemaRefused, match="Tree contains itself"):
        JobCodec(Tree, "tree")


class Tree(BaseModel):
    parts: list[Tree] = []


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    name: str = Field(alias="Name")


def test_a_model_with_aliases_is_written_and_made_by_the_names_of_its_fields() -> None:
    codec, args = JobCodec(ByName, "by-name"), ByName(Name="ann")

    assert codec.args(codec.encode(META, args)) == args
    assert [each["name"] for each in codec.declared_args["fields"]] == ["name"]


@dataclass(frozen=True)
class Outer:
    order: Order
    parcel: Parcel


def test_kinds_may_stand_within_each_other() -> None:
    codec = JobCodec(Outer, "outer")
    args = Outer(Order(order_id="o-1"), Parcel("ann"))

    assert codec.args(codec.encode(META, args)) == args
    with pytest.raises(EncodeError, match=r"Outer\.parcel\.to: Expected `str` of length >= 2"):
        codec.encode(META, Outer(Order(order_id="o-1"), Parcel("a")))
