"""What is on the wire, and what users are told, stays as it was when it was recorded.

`recorded.json` holds a digest for each group of lines below. Where one differs, print the
lines with `python tests/unit/schemas/test_recorded.py` before and after the change, and compare
them. With `--record` it writes the digests anew: for lines that were meant to change.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, cast
from uuid import UUID

import pytest

from jobstream.cli.args_json import args_from, sample_args
from jobstream_schemas import (
    Catalogue,
    DecimalSpec,
    EncodeError,
    JobCodec,
    Meta,
    SchemaError,
    Secret,
    args_schema,
    job_schema,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORDED = Path(__file__).with_name("recorded.json")
META = Meta("a-1", 1_790_000_000_000, "shop", order_key="k", expires_in_ms=60_000)
VALUES_READ_MAX = 4
"""Of each type, by every other type: more tell nothing new, and take seconds."""
OrderId = NewType("OrderId", str)


class Colour(Enum):
    RED = 1
    BLUE = "b"


class Word(StrEnum):
    HELLO = "hello"


class Number(IntEnum):
    ONE = 1


@dataclass(frozen=True)
class Line:
    sku: str
    count: int = 1

    def __post_init__(self) -> None:
        if self.sku == "refused":
            message = "no such sku"
            raise ValueError(message)


@dataclass(frozen=True)
class Gift(Line):
    note: str = ""


@dataclass(frozen=True)
class Card:
    number: Annotated[str, Secret]
    pins: Annotated[list[int] | None, Secret] = None


@dataclass(frozen=True)
class Everything:
    text: OrderId
    price: Annotated[Decimal, DecimalSpec(20, 4)]
    line: Line
    again: list[Line]
    colour: Colour = Colour.BLUE
    day: date = date(1970, 1, 3)
    at: datetime = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    raw: bytes = b"\xff"
    weight: float = 1
    odd: float = float("nan")
    ident: UUID = UUID(int=0)  # noqa: RUF009 - a constant
    how: Literal["post", "van"] = "post"
    home: Line = Line("x")
    card: Card | None = None
    pair: tuple[int, ...] = (1, 2)
    said: int | None = 5
    maybe: tuple[str | None, ...] | None = None
    names: dict[str, list[Decimal]] = field(default_factory=dict)
    made: list[str] = field(default_factory=lambda: ["web"])
    flag: bool = True


VALUES: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, 127, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**400),
    *(
        0.0,
        1.0,
        1.5,
        -1e300,
        float("nan"),
        float("inf"),
        "",
        "a",
        "post",
        "RED",
        "ü" * 70,
        "\ud800",
    ),
    *("3", "1.50", "NaN", "-Infinity", "AAEC", "not base64!", "2026-01-31", "2026-01-31T12:00:00"),
    *("2026-01-31T12:00:00Z", "00000000-0000-4000-8000-000000000001", "refused", "9" * 90),
    *(b"", b"\x00\xff", Decimal(0), Decimal("1.50"), Decimal("-12345.6789"), Decimal("1E+9999")),
    *(Decimal("NaN"), Decimal("0.0001"), date(1, 1, 1), date(2026, 1, 31), UUID(int=7)),
    *(datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 1, 31)),  # noqa: DTZ001 - naive on purpose
    *(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), Colour.RED, Word.HELLO, Number.ONE),
    *(
        Line("s"),
        Line("t", 5),
        Line("u", cast("int", "x")),
        Gift("g"),
        Card("1"),
        Card(cast("str", 1)),
    ),
    *(
        [],
        [1],
        [1, 2, "x", None],
        ["a", "b"],
        [Line("s"), Line(cast("str", 1), 2)],
        (),
        (1,),
        ("a",),
    ),
    *({}, {"a": 1}, {"a": "x", "b": None}, {1: 1}, {"sku": "s"}, {"sku": "s", "cuont": 2}),
    *({"sku": "refused"}, {"sku": 1, "count": "x"}, {"number": "1"}, {"number": 1}, [{"sku": "s"}]),
    *({"a": [1]}, {"a": {"sku": 2}}, [[1]], [["a"], [None, 3]]),
)
HINTS: tuple[Any, ...] = (
    *(str, int, float, bool, bytes, UUID, date, datetime, Decimal, Colour, Word, Line, Card),
    *(Annotated[Decimal, DecimalSpec(9, 2)], Literal["post", "a"], Literal["RED"], OrderId),
    *(list[int], list[str], list[Line], tuple[int, ...], tuple[str, ...], list[list[int]]),
    *(dict[str, int], dict[str, str], dict[str, Line], list[str | None], dict[str, list[int]]),
    *(str | None, int | None, float | None, Line | None, Colour | None, list[int] | None),
    *(Annotated[str, Secret], Annotated[Line | None, Secret]),
)
REFUSED: tuple[Any, ...] = (
    *(
        set[str],
        list,
        tuple,
        dict,
        dict[int, str],
        tuple[int, str],
        int | str,
        Any,
        object,
        complex,
    ),
    *(Literal[1], frozenset[str], type[int], "Nowhere", list[set[int]], int | str | None, None),
)


def of(hint: object, **options: Any) -> type:  # noqa: ANN401 - of a field
    part = ("part", hint, field(**options)) if options else ("part", hint)
    return make_dataclass("Thing", [("first", str, "f"), part], frozen=True, kw_only=True)


CODECS: list[JobCodec[Any]] = []
"""Of a class with each hint; made when they are needed first."""


def outcome(call: Callable[[], object]) -> str:
    """What a call returns or raises, without Python's own words, which its versions change."""
    try:
        return repr(call())
    except Exception as error:  # noqa: BLE001 - it is told
        text, cause = f"{type(error).__name__}: {error}", error.__cause__
        while isinstance(cause, SchemaError):
            cause = cause.__cause__
        return text.replace(str(cause), "…") if cause else text


def schemas() -> Iterator[str]:
    for hint in (*HINTS, *REFUSED):
        cls = of(hint)
        yield outcome(lambda: job_schema(cls, "shop.do-it"))  # noqa: B023 - called at once
        for value in VALUES:
            plain = value if not isinstance(value, (list, dict)) else None
            other = of(hint, default=plain)
            yield outcome(lambda: args_schema(other, name="thing"))  # noqa: B023 - likewise
    yield repr(job_schema(Everything, "shop.all-of-it"))


def bytes_of(hint: object) -> Iterator[str]:
    """Each value as bytes and back, with its digest; or why not."""
    cls = of(hint)
    codec: JobCodec[Any] = JobCodec(cls, "thing")

    def told(value: object) -> object:
        args = cls(part=value)
        raw = codec.encode(META, args)
        hidden = list(codec.secrets(args)) if codec.secrets else None
        return raw.hex(), codec.value_digest(args).hex(), codec.args(raw), hidden

    for value in VALUES:
        yield outcome(lambda: told(value))  # noqa: B023 - called at once


def from_json(hint: object) -> Iterator[str]:
    cls = of(hint)
    yield repr(sample_args(cls))
    yield outcome(lambda: args_from(cls, {}))
    for value in VALUES:
        if not isinstance(value, (bytes, date, UUID, Enum, tuple, Line, Card)):
            yield outcome(lambda: args_from(cls, {"part": value}))  # noqa: B023 - called at once


def fits(codec: JobCodec[Any], args: object) -> bool:
    try:
        codec.encode_args(args)
    except EncodeError:
        return False
    return True


def resolved(hint: object) -> Iterator[str]:
    """What every other class makes of the values of this one."""
    written = of(hint)
    writer: JobCodec[Any] = JobCodec(written, "thing")
    catalogue = Catalogue()
    reader = catalogue.register(writer.schema)
    good = [part for part in VALUES if fits(writer, written(part=part))]
    for codec in CODECS:
        misfit = reader.misfit(codec)
        for part in good[:VALUES_READ_MAX]:
            value = writer.encode(META, written(part=part))
            at = catalogue.decode(value).args_bytes_at
            yield outcome(lambda: reader.args(value, at, codec))  # noqa: B023 - called at once
            yield misfit(value, at)


def damaged() -> Iterator[str]:
    codec: JobCodec[Any] = JobCodec(Everything, "all")
    args = Everything(
        OrderId("t"),
        Decimal("1.5"),
        Line("a"),
        [Line("b", 3)],
        names={"k": [Decimal(2)]},
        maybe=("x",),
    )
    raw = codec.encode(META, args)
    yield raw.hex()
    yield codec.value_digest(args).hex()
    for at in range(10, len(raw)):
        for byte in (0, 1, 2, 3, 4, 0x7F, 0x80, 0x81, 0xFF):
            mangled = raw[:at] + bytes((byte,)) + raw[at + 1 :]
            yield outcome(lambda: codec.args(mangled))  # noqa: B023 - called at once
        yield outcome(lambda: codec.args(raw[:at]))  # noqa: B023 - likewise


def lines() -> dict[str, list[str]]:
    """Everything that is recorded, by group."""
    CODECS[:] = [JobCodec(of(hint), "thing") for hint in HINTS]
    found = {"schemas": [*schemas()], "damaged": [*damaged()]}
    for hint in HINTS:
        name = re.sub(r"<\w+ '|'>|\w+\.(?=\w)", "", str(hint))
        found[f"bytes of {name}"] = [*bytes_of(hint)]
        found[f"json of {name}"] = [*from_json(hint)]
        found[f"other schemas than {name}"] = [*resolved(hint)]
    return found


def digests() -> dict[str, str]:
    return {
        group: blake2b("\n".join(told).encode(errors="backslashreplace"), digest_size=8).hexdigest()
        for group, told in lines().items()
    }


@pytest.fixture(scope="module")
def now() -> dict[str, str]:
    return digests()


@pytest.mark.parametrize("group", json.loads(RECORDED.read_text()) if RECORDED.exists() else [])
def test_nothing_differs_from_what_was_recorded(group: str, now: dict[str, str]) -> None:
    assert now[group] == json.loads(RECORDED.read_text())[group]


if __name__ == "__main__":
    if "--record" in sys.argv:
        RECORDED.write_text(json.dumps(digests(), indent=1) + "\n")
    else:
        for name, told in lines().items():
            sys.stdout.write(
                "\n".join([f"== {name}", *told, ""]).encode("ascii", "backslashreplace").decode()
            )
