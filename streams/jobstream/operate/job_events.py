"""A job event without its class: decoded by its writer's schema, shown as plain JSON values.

The catalogue must hold the writer's schema already.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS

from jobstream_schemas import DecimalSpec, DecodeError, masked, split_frame
from jobstream_schemas.shapes.decimals import decimal_of

if TYPE_CHECKING:
    from jobstream_schemas import Catalogue, Reader

HEX_BYTES_MAX = 4_096
UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A readable job event; times in `meta` are milliseconds since the epoch."""

    job_type: str
    meta: dict[str, Any]
    args: dict[str, Any]


def read_event(catalogue: Catalogue, value: bytes) -> Event:
    """The whole event, by the schema that wrote it; raises DecodeError, also as UnknownSchema.

    Bytes become base64, decimals, dates, times and UUIDs their text: the form `enqueue` takes.
    Fields that any known schema of the job type marks as secret become `***`.
    """
    return EventReader(catalogue).read(value)


class EventReader:
    """Reads many events: each schema is prepared once. Used by one thread."""

    def __init__(self, catalogue: Catalogue) -> None:
        """`catalogue` may learn more schemas later."""
        self._catalogue = catalogue
        self._parsed: dict[bytes, Any] = {}
        """By fingerprint; at most as many as a catalogue holds."""

    def read(self, value: bytes) -> Event:
        """As `read_event`."""
        reader, decoded = self._catalogue.read(value)
        parsed = self._parsed.get(reader.fingerprint)
        if parsed is None:
            parsed = self._parsed[reader.fingerprint] = parse_schema(_places_kept(reader.schema))
        args = _args(reader, value, parsed)
        if reader.secret:
            args = masked(reader.schema, args, reader.secret)
        return Event(reader.job_type, decoded.meta._asdict(), args)


def unmasked_args(reader: Reader, value: bytes) -> Any:  # noqa: ANN401 - JSON
    """The args in the same form, **with** their secrets: never to be shown; raises DecodeError."""
    return _args(reader, value, parse_schema(_places_kept(reader.schema)))


def _args(reader: Reader, value: bytes, parsed: Any) -> Any:  # noqa: ANN401 - JSON, the library's own
    stream = BytesIO(value)
    stream.seek(split_frame(value)[1])
    try:
        # The schema was linted when it was registered, so it can't make the library run away.
        record: Any = schemaless_reader(stream, parsed, None)
    except Exception as error:
        text = f": {error}" if not reader.secret else "; it has secret fields"
        message = f"{reader.job_type}: cannot be read: {type(error).__name__}{text}"
        raise DecodeError(message) from error
    if (left := len(value) - stream.tell()) != 0:
        message = f"{reader.job_type}: {left} bytes are left over"
        raise DecodeError(message)
    return plain_json(record["args"])


_DECIMAL = "jobstream.decimal"
"""Read by us: the library gives a decimal all places, and a long one costs it minutes."""


def _read_decimal(raw: bytes, writer: Any, _: Any) -> Decimal:  # noqa: ANN401 - schemas
    return decimal_of(raw, DecimalSpec(writer["precision"], writer.get("scale", 0)))


LOGICAL_READERS[f"bytes-{_DECIMAL}"] = _read_decimal


def _places_kept(schema: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """The schema, with its decimals named as ours."""
    if isinstance(schema, list):
        return [_places_kept(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # A default is not a schema, and reading does not use it.
    kept = {key: _places_kept(value) for key, value in schema.items() if key != "default"}
    if kept.get("logicalType") == "decimal" and kept.get("type") == "bytes":
        kept["logicalType"] = _DECIMAL
    return kept


def type_of(catalogue: Catalogue, value: bytes) -> str:
    """The job type that a value names, "" if its schema is not known; reads no further."""
    return type_by(catalogue, schema_of(value))


def schema_of(value: bytes) -> bytes:
    """The fingerprint of the schema that a value names, b"" if it names none."""
    try:
        reference, _ = split_frame(value)
    except DecodeError:
        return b""
    return reference


def type_by(catalogue: Catalogue, fingerprint: bytes) -> str:
    """The job type of a schema, "" if it is not known."""
    reader = catalogue.get(fingerprint)
    return reader.job_type if reader is not None else UNKNOWN


def plain_json(value: Any) -> Any:  # noqa: ANN401 - any value, one return per kind
    """The value as JSON can say it."""
    match value:
        case dict():
            return {str(name): plain_json(each) for name, each in value.items()}
        case list() | tuple():
            return [plain_json(each) for each in value]
        case bytes():
            return base64.b64encode(value).decode()
        case datetime() | date():
            return value.isoformat()
        case Enum():
            return value.name
        case UUID() | Decimal():
            return str(value)
        case _:
            return value


def is_secret(catalogue: Catalogue, value: bytes) -> bool:
    """Whether the job type that a value names has secret fields; False if it is not known."""
    reader = catalogue.get(schema_of(value))
    return reader is not None and bool(reader.secret)


def hex_dump(value: bytes) -> str:
    """Offsets, hexadecimal and printable characters, 16 bytes a line, at most 4 KiB."""
    shown = value[:HEX_BYTES_MAX]
    lines = [_hex_line(shown, at) for at in range(0, len(shown), 16)]
    if len(value) > len(shown):
        lines.append(f"… and {len(value) - len(shown)} bytes more")
    return "\n".join(lines)


def _hex_line(data: bytes, at: int) -> str:
    row = data[at : at + 16]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)  # noqa: PLR2004 - ASCII
    return f"{at:08x}  {row.hex(' '):<47}  {text}"
