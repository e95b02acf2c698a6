"""Fields of a form by a job's schema, and what of them was changed."""

from __future__ import annotations

from typing import Any

import pytest

from jobstream.answers.fix_fields import CHARS_MAX, changes_in, fix_fields
from jobstream.operate.errors import CannotFix
from jobstream.web.pages.visible import visible


def schema(**types: Any) -> dict[str, Any]:  # noqa: ANN401 - Avro types
    """A job's schema whose args have these fields."""
    meta = {"type": "record", "name": "Meta", "fields": []}
    fields = [{"name": name, "type": each} for name, each in types.items()]
    args = {"type": "record", "name": "Args", "fields": fields}
    return {"type": "record", "name": "job",
            "fields": [{"name": "meta", "type": meta}, {"name": "args", "type": args}]}  # fmt: skip


ENUM = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
POINT = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "int"}]}


@pytest.mark.parametrize(
    ("declared", "value", "sent", "changed"),
    [
        ("string", "a", "b", "b"),
        ("string", "7", "8", "8"),
        ("long", 7, "8", 8),
        ("double", 1.5, "2.5", 2.5),
        ("int", 7, "seven", "seven"),
        ("boolean", True, "false", False),
        (ENUM, "RED", "BLUE", "BLUE"),
        (POINT, {"x": 1}, '{"x": 2}', {"x": 2}),
        ({"type": "map", "values": "int"}, {}, '{"a": 1}', {"a": 1}),
        (["null", "string"], None, "text", "text"),
        (["null", "long"], 4, "5", 5),
        ({"type": "long", "logicalType": "timestamp-millis"}, "2026-01-01T00:00:00+00:00",
         "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
        (["string", "long"], "a", '"b"', "b"),
    ],
)  # fmt: skip
def test_text_becomes_the_value_that_its_field_holds(
    declared: Any,  # noqa: ANN401
    value: object,
    sent: str,
    changed: object,
) -> None:
    fields = fix_fields(schema(it=declared, other="string"), {"it": value, "other": "o"},
                        {"it": value, "other": "o"})  # fmt: skip

    assert changes_in(fields, {"arg.it": sent, "arg.other": "o"}, visible) == {"it": changed}


def test_what_is_sent_as_it_was_shown_is_no_change() -> None:
    args = {"a": "one\r\ntwo\r\n", "b": "hidden \u202e\0 ends", "c": [1, {"d": "é"}], "e": None}
    declared = schema(a="string", b="string", c={"type": "array", "items": "long"},
                      e=["null", "string"])  # fmt: skip
    fields = fix_fields(declared, args, args)

    sent = {f"arg.{each.name}": visible(each.value).replace("\r", "").replace("\n", "\r\n")
            for each in fields}  # fmt: skip

    assert changes_in(fields, {**sent, "none.e": "true"}, visible) == {}
    assert changes_in(fields, sent, visible) == {"e": ""}


def test_null_is_given_by_its_own_box_and_a_text_beside_it_is_not_lost() -> None:
    fields = fix_fields(schema(a=["null", "string"]), {"a": "x"}, {"a": "x"})
    none = fix_fields(schema(a=["null", "string"]), {"a": None}, {"a": None})

    assert changes_in(fields, {"arg.a": "x", "none.a": "true"}, visible) == {"a": None}
    assert changes_in(none, {"arg.a": "y", "none.a": "true"}, visible) == {"a": "y"}


def test_secret_stays_unless_it_is_given_and_one_within_is_never_written_back() -> None:
    args = {"a": "s3cret", "b": [{"x": "s3cret"}]}
    hidden = {"a": "***", "b": [{"x": "***"}]}
    fields = fix_fields(schema(a="string", b={"type": "array", "items": POINT}), args, hidden)

    assert [(each.kind, each.value) for each in fields] == [("secret", ""), ("kept", "")]
    assert changes_in(fields, {"arg.a": "", "arg.b": "[]"}, visible) == {}
    assert changes_in(fields, {"arg.a": "new"}, visible) == {"a": "new"}


def test_value_that_is_too_long_for_a_form_is_kept() -> None:
    args = {"a": "x" * (CHARS_MAX + 1)}

    (field,) = fix_fields(schema(a="string"), args, args)

    assert (field.kind, field.value) == ("kept", "")


def test_field_that_the_dead_job_lacks_is_given_or_left_to_its_default() -> None:
    fields = fix_fields(schema(a="string"), {}, {})

    assert changes_in(fields, {"arg.a": ""}, visible) == {}
    assert changes_in(fields, {"arg.a": "b"}, visible) == {"a": "b"}


def test_text_that_is_no_json_is_refused_by_name() -> None:
    fields = fix_fields(schema(a=POINT), {"a": {"x": 1}}, {"a": {"x": 1}})

    with pytest.raises(CannotFix, match="field a: it is no JSON"):
        changes_in(fields, {"arg.a": "{"}, visible)
