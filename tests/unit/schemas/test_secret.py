"""A mark on a field is in the schema, changes no byte, and keeps values out of every error."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NewType

import pytest

from jobstream.operate.job_events import is_secret, read_event
from jobstream_schemas import (
    Catalogue,
    DecodeError,
    EncodeError,
    JobCodec,
    Meta,
    SchemaMismatch,
    Secret,
    check,
    masked,
)
from jobstream_schemas.secret import marks

CANARY = "hunter2-canary"
META = Meta("id-1", 1_790_000_000_000, "shop")
Password = Annotated[str, Secret]
Token = NewType("Token", str)


@dataclass(frozen=True)
class Card:
    holder: str
    number: Annotated[str, Secret()]


@dataclass(frozen=True)
class Login:
    user: str
    password: Password
    old: list[Password]
    cards: dict[str, Card]
    main: Card | None = None
    whole: Annotated[Card | None, Secret] = None
    hint: Annotated[str, Secret] | None = None
    kind: Annotated[Literal["pin", "code"], "not secret"] = "pin"


@dataclass(frozen=True)
class Open:
    user: str
    password: str


LOGIN = Login(
    "ann",
    f"{CANARY}-1",
    [f"{CANARY}-2"],
    {"a": Card("ann", f"{CANARY}-3")},
    Card("ann", f"{CANARY}-4"),
    Card(f"{CANARY}-5", f"{CANARY}-6"),
    f"{CANARY}-7",
)


def test_every_secret_value_is_found_and_no_other() -> None:
    codec = JobCodec(Login, "login")
    assert codec.secrets is not None

    found = set(codec.secrets(LOGIN))

    assert found == {f"{CANARY}-{number}" for number in range(1, 8)}
    empty = Login("ann", "p", [], {})
    assert list(codec.secrets(empty)) == ["p"]
    assert JobCodec(Open, "open").secrets is None


def test_an_event_without_its_class_is_shown_without_secrets() -> None:
    codec = JobCodec(Login, "login")
    catalogue = Catalogue()
    catalogue.register(codec.schema.json)
    value = codec.encode(META, LOGIN)

    event = read_event(catalogue, value)

    assert CANARY not in str(event)
    assert event.args["user"] == "ann"
    assert [event.args[name] for name in ("password", "whole", "hint")] == ["***"] * 3
    assert event.args["cards"] == {"a": {"holder": "ann", "number": "***"}}
    assert event.args["main"] == {"holder": "ann", "number": "***"}
    assert is_secret(catalogue, value)
    assert not is_secret(catalogue, b"\x00" * 20)


def test_what_is_absent_is_shown_as_absent() -> None:
    codec = JobCodec(Login, "login")
    shown = masked(codec.schema.schema, {"user": "a", "password": "p", "hint": None, "whole": None})

    assert shown == {"user": "a", "password": "***", "hint": None, "whole": None}


def test_schemas_of_other_producers_are_masked_by_full_names_and_in_unions() -> None:
    card = {
        "type": "record",
        "name": "Card",
        "namespace": "bank",
        "fields": [{"name": "number", "type": "string", "jobstream.secret": True}],
    }
    each = {"type": "map", "values": "bank.Card"}
    fields = [
        {"name": "first", "type": card},
        {"name": "other", "type": ["null", "string", "bank.Card"]},
        {"name": "many", "type": {"type": "array", "items": each}},
    ]
    args = {"type": "record", "name": "Args", "fields": fields}
    schema = {"type": "record", "name": "t", "fields": [{"name": "args", "type": args}]}
    number = {"number": "1"}

    shown = masked(schema, {"first": number, "other": number, "many": [{"k": number}]})

    hidden = {"number": "***"}
    assert shown == {"first": hidden, "other": hidden, "many": [{"k": hidden}]}
    assert masked(schema, {"other": "text"}) == {"other": "text"}


def test_a_mark_changes_neither_fingerprint_nor_compatibility() -> None:
    @dataclass(frozen=True)
    class Marked:
        user: str
        password: Password

    marked, unmarked = JobCodec(Marked, "login").schema, JobCodec(Open, "login").schema

    assert marked.fingerprint == unmarked.fingerprint
    assert json.loads(marked.json) != json.loads(unmarked.json)
    assert check(unmarked.schema, marked.schema, "login") == []
    assert check(marked.schema, unmarked.schema, "login") == []


@pytest.mark.parametrize("marked_first", [True, False])
def test_a_mark_once_given_holds_for_jobs_of_before(marked_first: bool) -> None:  # noqa: FBT001 - parametrised
    @dataclass(frozen=True)
    class Marked:
        user: str
        password: Password

    old = JobCodec(Open, "login")
    value = old.encode(META, Open("ann", CANARY))
    schemas = [JobCodec(Marked, "login").schema, old.schema]
    catalogue = Catalogue()
    for schema in schemas if marked_first else reversed(schemas):
        catalogue.register(schema.json)

    assert read_event(catalogue, value).args == {"user": "ann", "password": "***"}
    reader = catalogue.get(old.schema.fingerprint)
    assert reader is not None
    assert reader.secret == marks(schemas[0].schema)


@dataclass(frozen=True)
class FirstMarked:
    user: Password
    password: str


@dataclass(frozen=True)
class SecondMarked:
    user: str
    password: Password


@dataclass(frozen=True)
class Grown:
    user: str
    password: Password
    device: str = ""


@pytest.mark.parametrize(
    ("other", "masked_fields"),
    [(SecondMarked, ["user", "password"]), (Grown, ["user", "password"]), (Open, ["user"])],
)
@pytest.mark.parametrize("turned", [True, False])
def test_a_mark_that_moved_or_came_with_another_field_holds_for_all_versions(
    other: type, masked_fields: list[str], *, turned: bool
) -> None:
    old = JobCodec(FirstMarked, "login")
    value = old.encode(META, FirstMarked(f"{CANARY}-1", f"{CANARY}-2"))
    schemas = [old.schema, JobCodec(other, "login").schema]
    catalogue = Catalogue()
    for schema in reversed(schemas) if turned else schemas:
        catalogue.register(schema.json)
    catalogue.register(JobCodec(Open, "another").schema.json)

    shown = read_event(catalogue, value).args

    assert [name for name, told in shown.items() if told == "***"] == masked_fields
    another = JobCodec(Open, "another").encode(META, Open("ann", "open"))
    assert read_event(catalogue, another).args == {"user": "ann", "password": "open"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", CANARY.encode()),
        ("old", [CANARY, 5]),
        ("old", CANARY),
        ("whole", CANARY),
        ("hint", [CANARY]),
        ("main", Card("ann", CANARY.encode())),  # type: ignore[arg-type] # on purpose
    ],
)
def test_a_refused_value_is_not_shown(field: str, value: Any) -> None:  # noqa: ANN401 - any wrong one
    codec = JobCodec(Login, "login")

    with pytest.raises(EncodeError) as refused:
        codec.encode(META, replace(LOGIN, **{field: value}))

    assert CANARY not in str(refused.value)
    assert f"Login.{field}" in str(refused.value)
    assert refused.value.__context__ is None


def test_a_value_that_the_class_refuses_is_not_shown() -> None:
    strict = False

    @dataclass(frozen=True)
    class Strict:
        password: Password

        def __post_init__(self) -> None:
            if strict:
                message = f"bad password {self.password}"
                raise ValueError(message)

    codec = JobCodec(Strict, "login")
    value = codec.encode(META, Strict(CANARY))
    strict = True

    with pytest.raises(SchemaMismatch) as refused:
        codec.args(value)

    assert str(refused.value).endswith(
        "wrote: args: Strict refuses these values: ValueError;"
        " values are left out: some fields are secret"
    )
    assert refused.value.__context__ is None


def test_bytes_of_a_secret_that_cannot_be_read_are_not_told() -> None:
    codec = JobCodec(Card, "card")
    catalogue = Catalogue()
    catalogue.register(codec.schema.json)
    value = codec.encode(META, Card("ann", CANARY))[:-3]

    with pytest.raises(DecodeError) as refused:
        read_event(catalogue, value)

    assert CANARY[:4] not in str(refused.value)


def test_a_secret_field_beside_a_wrong_one_is_named_and_not_shown() -> None:
    values: dict[str, Any] = {"user": 5, "password": [CANARY], "hint": [CANARY]}
    wrong = replace(LOGIN, **values)

    with pytest.raises(EncodeError) as caught:
        JobCodec(Login, "login").encode(META, wrong)

    told = str(caught.value)
    assert ["Login.user" in told, "Login.password" in told, "Login.hint" in told] == [True] * 3
    assert CANARY not in told
