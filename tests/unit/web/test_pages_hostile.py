"""Nothing that a job, a worker or an operator wrote becomes markup, or hides other text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from tests.harness.bad_minute import ANSWERS, PreparedDesk, prepared
from tests.harness.page_parts import PageParts, faults

from jobstream.answers.as_of import AsOf
from jobstream.answers.fix_fields import FixField
from jobstream.web.pages.visible import one_line, visible

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "quotes": "\"' onmouseover=alert(3) x='\"",
    "template": "{{ 490 * 101 }}{% include 'layout.html' %}",
    "closing": "</td></table></main><!--",
    "link": "javascript:alert(4)//../../%2e%2e\\",
    "right to left": "invoice\u202egpj.exe\u2066\u200f",
    "zero bytes": "a\0b\x1b[31mc\x7f\x85",
    "half a pair": "smile \ud83d end \udcff",
    "long": "x" * 8_192,
    "lines": "one\r\ntwo\u2028three\n" * 40,
}
PATHS = {
    "overview": "/",
    "queues": "/queues",
    "queue": "/queues/mail",
    "jobs": "/jobs",
    "job": "/jobs/any",
    "letters": "/dead-letters",
    "letter_groups": "/dead-letters?fingerprint=any",
    "fix_form": "/dead-letters/fix?id=any",
    "types": "/types",
    "schedules": "/schedules",
    "would_cancel": "/cancel?types=any",
    "limits_and_breakers": "/limits",
    "workers": "/workers",
    "audit": "/audit",
    "health": "/health",
}
HIDDEN = {"\0", "\x1b", "\x7f", "\x85", "\u200f", "\u202e", "\u2028", "\u2066", "\ud83d"}
KEPT = {(AsOf, "source"), (FixField, "kind")}
"""Words of ours, not of a user."""


def poisoned(value: Any, text: str) -> Any:  # noqa: ANN401 - any answer
    """The same answer with that text in every text of it, names of mappings included."""
    match value:
        case str():
            return text
        case datetime() | None | bool() | int() | float():
            return value
        case Mapping():
            return {
                (text if not isinstance(each, dict | list) and isinstance(name, str) else name): (
                    poisoned(each, text)
                )
                for name, each in value.items()
            } | {name: poisoned(each, text) for name, each in value.items()}
        case tuple() | list():
            return type(value)(poisoned(each, text) for each in value)
    if callable(value) and not is_dataclass(value):
        return lambda *given: poisoned(value(*given), text)
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return replace(
        value,
        **{
            each.name: poisoned(getattr(value, each.name), text)
            for each in fields(value)
            if (type(value), each.name) not in KEPT
        },
    )


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_harmless_in_every_field_of_every_page(tmp_path: Path, kind: str) -> None:
    answers = {each: poisoned(answer, HOSTILE[kind]) for each, answer in ANSWERS.items()}
    desk = PreparedDesk(tmp_path, answers, open_to_loopback=True)
    client = TestClient(prepared(desk), base_url="http://localhost", client=("127.0.0.1", 1))

    for path in PATHS.values():
        answer = client.get(path)

        assert answer.status_code == 200, answer.text
        assert faults(answer.text) == [], path
        parts = PageParts(answer.text)
        assert len(parts.all("script")) == 1
        assert len(parts.all("main")) == 1
        assert not parts.all("img")
        assert "49490" not in parts.text, "a text was taken for a template"
        assert not HIDDEN & set(answer.text)
        assert len(answer.content) < 1_000_000


def test_what_cannot_be_seen_is_named() -> None:
    assert visible("a\0b") == "a␀b"
    assert visible("gpj\u202eexe") == "gpj[U+202E]exe"
    assert visible("\ud83d") == "[U+D83D]"
    assert visible("two\nlines\tand a tab") == "two\nlines\tand a tab"
    assert visible("naïve 東京 🎉") == "naïve 東京 🎉"


def test_long_text_is_cut() -> None:
    assert visible("x" * 30, 10) == "x" * 9 + "…"
    assert one_line("a\nb\tc" + "x" * 500, 20) == "a b\tc" + "x" * 14 + "…"
