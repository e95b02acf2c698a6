"""The contract of jobstream: job events, rows, mirrors and control entries, to bytes and back.

This package says what is on the wire. It does no I/O but reading its own packaged schemas and the
folder of exported ones; who sends bytes and what they lead to is decided elsewhere.
"""

from jobstream_schemas.catalogue import Catalogue
from jobstream_schemas.codec import JobCodec
from jobstream_schemas.control_entry import (
    ControlRecord,
    control_key,
    decode_control,
    encode_control,
)
from jobstream_schemas.dedup_rows import CLAIM_KEY, Row, RowKind, decode_row, encode_row, row_key
from jobstream_schemas.errors import (
    DecodeError,
    EncodeError,
    JsonMisfit,
    MissingExtra,
    SchemaConflict,
    SchemaError,
    SchemaMismatch,
    SchemaRefused,
    UnknownSchema,
    UnsupportedType,
    caused,
)
from jobstream_schemas.evolution import Incompatibility, check, check_folder, export
from jobstream_schemas.framing import frame_of, schema_fingerprint, split_frame
from jobstream_schemas.job_schema import JobSchema, args_schema, job_schema
from jobstream_schemas.meta import Decoded, Meta
from jobstream_schemas.mirror_record import (
    RESET,
    Mirror,
    decode_mirror,
    encode_mirror,
    mirror_key,
    mirror_key_of,
)
from jobstream_schemas.reader import Reader, args_digest
from jobstream_schemas.schedule_records import (
    OrderRecord,
    PlaceRecord,
    ScheduleEntry,
    ScheduleRecord,
    decode_schedule,
    encode_schedule,
    key_of,
    parse_schedule_key,
    schedule_key,
)
from jobstream_schemas.secret import Secret, masked
from jobstream_schemas.shapes.decimals import DecimalSpec
from jobstream_schemas.usual_row import DoneRows, done_key, encode_done, parse_row, usual_done
from jobstream_schemas.wire_names import is_id

__all__ = [
    "CLAIM_KEY",
    "RESET",
    "Catalogue",
    "ControlRecord",
    "DecimalSpec",
    "DecodeError",
    "Decoded",
    "DoneRows",
    "EncodeError",
    "Incompatibility",
    "JobCodec",
    "JobSchema",
    "JsonMisfit",
    "Meta",
    "Mirror",
    "MissingExtra",
    "OrderRecord",
    "PlaceRecord",
    "Reader",
    "Row",
    "RowKind",
    "ScheduleEntry",
    "ScheduleRecord",
    "SchemaConflict",
    "SchemaError",
    "SchemaMismatch",
    "SchemaRefused",
    "Secret",
    "UnknownSchema",
    "UnsupportedType",
    "args_digest",
    "args_schema",
    "caused",
    "check",
    "check_folder",
    "control_key",
    "decode_control",
    "decode_mirror",
    "decode_row",
    "decode_schedule",
    "done_key",
    "encode_control",
    "encode_done",
    "encode_mirror",
    "encode_row",
    "encode_schedule",
    "export",
    "frame_of",
    "is_id",
    "job_schema",
    "key_of",
    "masked",
    "mirror_key",
    "mirror_key_of",
    "parse_row",
    "parse_schedule_key",
    "row_key",
    "schedule_key",
    "schema_fingerprint",
    "split_frame",
    "usual_done",
]
