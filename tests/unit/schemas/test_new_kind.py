"""A type that args may have is one file: with its verbs, and no change anywhere else, it works."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from datetime import timedelta
from typing import Any

import pytest

from jobstream.cli.args_json import args_from, sample_args
from jobstream.errors import ConfigError
from jobstream_schemas import Catalogue, EncodeError, JobCodec, Meta, UnsupportedType
from jobstream_schemas.primitives import long_bytes, read_long
from jobstream_schemas.shapes import declared
from jobstream_schemas.shapes.leaf import Leaf

META = Meta("id-1", 1_790_000_000_000, "shop")
SECOND = timedelta(seconds=1)


# What the file of such a type would hold.


def _encode(value: object) -> bytes:
    if not isinstance(value, timedelta):
        raise EncodeError.of(value, "a timedelta")
    return long_bytes(_seconds(value))


def _seconds(value: timedelta) -> int:
    return value // SECOND


def _read_json(value: object) -> timedelta:
    if isinstance(value, int):
        return timedelta(seconds=value)
    raise ValueError


KIND = Leaf(
    hint=timedelta,
    primitive="long",
    logical="seconds",
    encode=_encode,
    decode=read_long,
    make=lambda seconds: timedelta(seconds=seconds),
    tell=_seconds,
    default=_seconds,
    read_json=_read_json,
    words="seconds",
    example=60,
).kind()


@dataclass(frozen=True)
class Wait:
    first: timedelta
    later: list[timedelta] = field(default_factory=list)
    most: timedelta | None = timedelta(minutes=1)


@pytest.fixture
def one_kind_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "KINDS", (*declared.KINDS, KIND))


@pytest.mark.usefixtures("one_kind_more")
def test_its_values_go_to_bytes_and_back_wherever_a_type_may_stand() -> None:
    codec = JobCodec(Wait, "wait")
    args = Wait(SECOND, [SECOND * 2, SECOND * 3], None)

    assert codec.args(codec.encode(META, args)) == args
    assert codec.schema.schema["fields"][1]["type"]["fields"][2]["default"] == 60
    with pytest.raises(EncodeError, match=r"Wait\.later\[0\]: got 5 \(int\); pass a timedelta"):
        codec.encode(META, Wait(SECOND, [5]))  # type: ignore[list-item]  # wrong on purpose


@pytest.mark.usefixtures("one_kind_more")
def test_another_version_of_the_class_reads_it() -> None:
    old: JobCodec[Any] = JobCodec(make_dataclass("Wait", [("first", timedelta)]), "wait")
    catalogue = Catalogue()
    reader = catalogue.register(old.schema)
    value = old.encode(META, old.cls(SECOND))

    decoded = catalogue.decode(value)

    assert reader.args(value, decoded.args_bytes_at, JobCodec(Wait, "wait")) == Wait(SECOND)
    assert old.value_digest(old.cls(SECOND)) == JobCodec(Wait, "wait").value_digest(Wait(SECOND))


@pytest.mark.usefixtures("one_kind_more")
def test_it_is_read_from_json() -> None:
    assert args_from(Wait, sample_args(Wait)) == Wait(
        SECOND * 60, [timedelta(minutes=1)], timedelta(minutes=1)
    )
    with pytest.raises(ConfigError, match=r"Wait\.later\[0\]: got 'x'; give seconds"):
        args_from(Wait, {"first": 1, "later": ["x"]})


def test_without_it_the_type_is_refused() -> None:
    with pytest.raises(UnsupportedType, match=r"Wait\.first: type timedelta is not supported"):
        JobCodec(Wait, "wait")
