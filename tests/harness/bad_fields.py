"""The fields of a dead job of the bad minute, one of each kind that a form has."""

from __future__ import annotations

from jobstream.answers.fix_fields import fix_fields

FIX_SCHEMA = {
    "type": "record", "name": "send_receipt", "fields": [
        {"name": "meta", "type": {"type": "record", "name": "Meta", "fields": []}},
        {"name": "args", "type": {"type": "record", "name": "Args", "fields": [
            {"name": "to", "type": "string"},
            {"name": "copies", "type": "int"},
            {"name": "colour", "type": {"type": "enum", "name": "C", "symbols": ["RED", "BLUE"]}},
            {"name": "is_test", "type": "boolean"},
            {"name": "note", "type": ["null", "string"]},
            {"name": "card", "type": "string"},
            {"name": "lines", "type": {"type": "array", "items": "string"}},
            {"name": "body", "type": "string"},
        ]}},
    ],
}  # fmt: skip
FIX_ARGS = {
    "to": "grace@example.con", "copies": 2, "colour": "RED", "is_test": False, "note": None,
    "card": "4111 1111", "lines": ["tea", "cup"], "body": "Dear Grace,\nthank you.\n",
}  # fmt: skip
FIX_FIELDS = fix_fields(FIX_SCHEMA, FIX_ARGS, {**FIX_ARGS, "card": "***"})
