"""Names on the wire: which job types, ids and Avro names are valid; keeps no list of those in use.

Avro names are narrower than job names (Avro 1.12 specification, "Names"), so a job type is mapped
to one and kept exactly in the record property `jobstream.type`.
"""

from __future__ import annotations

import re

from jobstream_schemas.errors import UnsupportedType, shown

JOB_TYPE_PROPERTY = "jobstream.type"
LITERAL_PROPERTY = "jobstream.literal"
DEFAULT_PROPERTY = "jobstream.default"
SECRET_PROPERTY = "jobstream.secret"  # noqa: S105 - a name, no password

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_JOB_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PRIMITIVES = frozenset(("null", "boolean", "int", "long", "float", "double", "bytes", "string"))

is_id = _ID.fullmatch


def is_avro_name(name: str) -> bool:
    """Whether one part of an Avro name, a field name or an enum symbol may be spelled so."""
    return _AVRO_NAME.fullmatch(name) is not None


def check_class_name(cls: type) -> None:
    """Raise `UnsupportedType` for a class within args whose name Avro does not allow."""
    if not is_avro_name(cls.__name__):
        message = f"class {cls.__name__}: use ASCII letters, digits and '_' in its name"
        raise UnsupportedType(message)
    if cls.__name__ in PRIMITIVES:
        message = f"class {cls.__name__}: Avro has a type of that name; rename the class"
        raise UnsupportedType(message)


def avro_name(job_type: str) -> str:
    """The Avro full name of a job type: `-` becomes `_`, dots stay; else `UnsupportedType`."""
    if not _JOB_TYPE.fullmatch(job_type):
        message = (
            f"job name {shown(job_type)}: use letters, digits, '_' and '-' in parts joined by"
            " '.', each part starting with a letter or '_'"
        )
        raise UnsupportedType(message)
    return job_type.replace("-", "_")
