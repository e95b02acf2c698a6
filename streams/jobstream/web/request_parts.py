"""Reads what a request says: its query, its body, its path. Everything is bounded and checked.

A query or a body is described by a dataclass, from which the API's description is made, too.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from starlette.requests import ClientDisconnect

from jobstream.idempotency.content_length import length_in
from jobstream.web.problems import Problem
from jobstream_processors.core.duration import to_ms
from jobstream_processors.errors import InvalidOption
from jobstream_schemas import JsonMisfit
from jobstream_schemas.shapes.declared import record_of

if TYPE_CHECKING:
    from dataclasses import Field

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

BODY_BYTES_MAX = 1_048_576
TEXT_CHARS_MAX = 400
LIST_MAX = 50
"""Values of one parameter that may be given several times."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


async def body_of(request: Request, bytes_max: int) -> Any:  # noqa: ANN401 - any JSON
    """The JSON of the body, numbers with a point as decimals; `{}` for none. Raises Problem."""
    if request.headers.get("content-length", "0") == "0" and _is_empty(request):
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"Content-Type {kind or 'is missing'!r:.100}: send application/json"
        raise Problem(415, "media-type", message)
    text = await raw_body(request, bytes_max)
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "no-json", f"the body is no JSON: {error}") from error


def _is_empty(request: Request) -> bool:
    return "transfer-encoding" not in request.headers and "content-type" not in request.headers


async def raw_body(request: Request, bytes_max: int) -> bytes:
    """The bytes of the body; raises Problem beyond the bound, before they are all read.

    Raises Problem as well where the client left before the end, for the log and the metrics.
    """
    told = length_in(request.headers.get("content-length", ""))
    found = bytearray()
    if told is not None and told > bytes_max:
        raise _too_large(bytes_max)
    try:
        async for chunk in request.stream():
            found += chunk
            if len(found) > bytes_max:
                raise _too_large(bytes_max)
    except ClientDisconnect as error:
        message = f"the body broke off after {len(found)} bytes; nothing was done"
        raise Problem(400, "body-cut-off", message) from error
    return bytes(found)


def read_body(cls: type, value: object) -> Any:  # noqa: ANN401 - an instance of `cls`
    """The body as that dataclass; raises Problem naming every wrong field."""
    try:
        return shape_of(cls).from_json(value, "body")
    except JsonMisfit as misfit:
        raise Problem(422, "wrong-body", str(misfit)) from misfit


@cache
def shape_of(cls: type) -> Any:  # noqa: ANN401 - a shape
    """How its values read from JSON; to derive that costs as much as all else of a request."""
    return record_of(cls)


def read_query(cls: type | None, given: QueryParams) -> Any:  # noqa: ANN401 - an instance of `cls`
    """The query as that dataclass; raises Problem for an unknown name and for a bad value."""
    known = {} if cls is None else {of.name.rstrip("_"): of for of in fields(cls)}
    for name in given:
        if name not in known:
            there = ", ".join(known) or "none"
            message = f"no parameter {name!r:.100}; there are: {there}"
            raise Problem(422, "wrong-query", message)
    if cls is None:
        return None
    hints = _hints(cls)
    values = {}
    for name, of in known.items():
        texts = given.getlist(name)
        if texts:
            values[of.name] = _value(name, of, hints[of.name], texts)
        elif of.default is MISSING and of.default_factory is MISSING:
            raise Problem(422, "wrong-query", f"parameter {name!r} is missing")
    return cls(**values)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _value(name: str, of: Field[Any], hint: Any, texts: list[str]) -> Any:  # noqa: ANN401 - by hint
    if hint == tuple[str, ...]:
        if len(texts) > LIST_MAX:
            raise _wrong(name, f"{len(texts)} values", f"give at most {LIST_MAX}")
        return tuple(_text(name, text) for text in texts)
    if len(texts) > 1:
        raise _wrong(name, f"{len(texts)} values", "give one")
    kinds = [each for each in (get_args(hint) or (hint,)) if each is not type(None)]
    text = _text(name, texts[0])
    if kinds == [int]:
        return _number(name, of, text)
    if kinds == [bool]:
        if text not in {"true", "false"}:
            raise _wrong(name, repr(text), "give true or false")
        return text == "true"
    if kinds == [float]:  # A length of time, in seconds.
        return seconds_of(name, text, of.metadata.get("most", 3_600.0))
    if kinds == [datetime]:
        return moment_of(name, text)
    return text


def _number(name: str, of: Field[Any], text: str) -> int:
    least, most = of.metadata.get("least", 0), of.metadata.get("most", 10**9)
    sign = text.removeprefix("-")
    if sign.isascii() and sign.isdigit() and len(sign) < len(str(most)) + 2:
        number = int(text)
        if least <= number <= most:
            return number
    raise _wrong(name, repr(text), f"give a whole number from {least} to {most}")


def seconds_of(name: str, text: str, most_s: float) -> float:
    """The seconds of "30s"; raises Problem."""
    try:
        return to_ms(text, name=name, most_ms=round(most_s * 1000)) / 1000
    except InvalidOption as error:
        raise Problem(422, "wrong-query", str(error)) from error


def moment_of(name: str, text: str) -> datetime:
    """A moment of "2026-01-31T12:00Z", or of "2h", which is so long ago; raises Problem."""
    now = datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.fromtimestamp(now.timestamp() - to_ms(text, name=name) / 1000, UTC)
        except (InvalidOption, OverflowError, ValueError, OSError) as error:
            fix = "write 2026-01-31T12:00:00Z, or 2h (that long ago)"
            raise _wrong(name, repr(text), fix) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not EARLIEST <= moment <= LATEST:
        raise _wrong(name, repr(text), "give a moment from 1970 to 2100")
    return moment


def _text(name: str, text: str) -> str:
    if len(text) > TEXT_CHARS_MAX:
        raise _wrong(name, f"{len(text)} characters", f"give at most {TEXT_CHARS_MAX}")
    if "\0" in text:
        raise _wrong(name, repr(text), "leave the zero character out")
    return text


def _wrong(name: str, what: str, fix: str) -> Problem:
    return Problem(422, "wrong-query", f"parameter {name}={what[:200]}: {fix}")


def _too_large(bytes_max: int) -> Problem:
    return Problem(413, "body-too-large", f"the body has more than {bytes_max} bytes")


def _refuse_constant(text: str) -> None:
    message = f"{text} is no JSON number: give it as the text {text!r}"
    raise ValueError(message)
