"""The description of the API: valid, complete, typed by the app's own classes; and called by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema_rs import validator_for
from tests.harness.web_calls import WebSide, without_work

from jobstream import App, Secret
from jobstream.web.api_route import V1
from jobstream.web.application import ROUTES
from jobstream.web.callers import TokenRole
from jobstream_schemas import args_schema
from jobstream_schemas.json_schema import json_schema
from jobstream_schemas.shapes.declared import record_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


TRIED = ("/jobs", "/types/send/jobs", "/dead-letters/redrive", "/limits/set")
"""Calls with the most to go wrong: to draw requests takes its time."""


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Part:
    size: int
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Everything:
    text: str
    number: int
    ratio: float
    flag: bool
    blob: bytes
    id: UUID
    price: Decimal
    at: datetime
    part: Part
    parts: list[Part]
    by_name: dict[str, int]
    kind: Literal["a", "b"]
    password: Annotated[str, Secret]
    maybe: int | None = None
    tags: list[str] = field(default_factory=list)


def described(folder: Path, app: App | None = None) -> dict[str, Any]:
    found: dict[str, Any] = WebSide(folder, app).ask("GET", f"{V1}/openapi.json").json()
    return found


def test_every_call_is_described_with_its_role(tmp_path: Path) -> None:
    paths = described(tmp_path)["paths"]

    for route in ROUTES:
        path = V1 + route.path.replace("/types/{type}/jobs", "/types/send/jobs")
        assert str(route.needs) in paths[path][route.method.lower()]["description"]
    assert f"{V1}/types/mass/jobs" in paths


def test_a_job_type_is_described_by_its_own_fields(tmp_path: Path) -> None:
    app = App("shop")
    app.declare("all", Everything)

    found = described(tmp_path, app)["components"]["schemas"]["args.all"]

    assert found["required"] == [
        *("text", "number", "ratio", "flag", "blob", "id", "price", "at", "part", "parts"),
        *("by_name", "kind", "password"),
    ]
    assert found["properties"]["password"]["writeOnly"] is True
    assert found["properties"]["kind"] == {"type": "string", "enum": ["a", "b"]}
    assert found["properties"]["part"]["properties"]["colour"]["enum"] == ["RED", "BLUE"]


def test_what_the_types_take_as_an_example_fits_their_description() -> None:
    schema = json_schema(args_schema(Everything, name="all"))
    sample = record_of(Everything).sample()

    validator_for(schema).validate(sample)
    for name in sample:
        if name in schema["required"]:
            rest = {key: value for key, value in sample.items() if key != name}
            assert not validator_for(schema).is_valid(rest), name


def test_calls_made_from_the_description_are_answered_as_it_says(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    web = WebSide(tmp_path, routes=without_work())
    headers = {"Authorization": f"Bearer {web.tokens.add('robot', {TokenRole.ADMIN})}"}
    schema = schemathesis.openapi.from_asgi(f"{V1}/openapi.json", web.asgi, headers=headers)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr] # an error has it, and raises
    for operation in operations:
        if operation.path.removeprefix(V1) in TRIED:
            with subtests.test(operation=operation.label):
                call_as_described(operation, headers)


def call_as_described(operation: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 - the library's
    known, asked = set(operation.definition.raw["responses"]), []

    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def called(case: schemathesis.Case[Any]) -> None:
        answer = case.call(headers=headers)
        asked.append(answer.status_code)
        assert answer.status_code < 500
        assert str(answer.status_code) in known | {"200"}, answer.text

    called()
    assert len(asked) > 5
