"""Sessions: a cookie that nobody can make or change, and a token for each of its forms."""

from __future__ import annotations

import pytest

from jobstream.web.page_sessions import LASTS_S, Sessions

SESSIONS = Sessions(b"k" * 32)


def test_a_session_names_its_token_until_it_is_over() -> None:
    cookie = SESSIONS.begin("abc", 1_000.0)

    found = SESSIONS.read(cookie, 1_000.0 + LASTS_S - 1)
    assert found is not None
    assert found.token_id == "abc"  # noqa: S105 - no password
    assert SESSIONS.read(cookie, 1_000.0 + LASTS_S) is None


@pytest.mark.parametrize("change", [0, 5, -1])
def test_a_changed_cookie_is_none(change: int) -> None:
    cookie = SESSIONS.begin("abc", 1_000.0)
    at = change % len(cookie)
    changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]

    assert SESSIONS.read(changed, 1_000.0) is None


@pytest.mark.parametrize("given", ["", ".", "a.b", "é.é", "x" * 10_000])
def test_garbage_is_no_session(given: str) -> None:
    assert SESSIONS.read(given, 0.0) is None


def test_another_key_reads_nothing() -> None:
    assert Sessions(b"j" * 32).read(SESSIONS.begin("abc", 0.0), 0.0) is None


def test_a_form_token_is_of_one_session_alone() -> None:
    first, second = (SESSIONS.read(SESSIONS.begin("abc", 0.0), 0.0) for _ in range(2))
    assert first is not None
    assert second is not None

    assert SESSIONS.is_form_token(first, SESSIONS.form_token(first))
    assert not SESSIONS.is_form_token(second, SESSIONS.form_token(first))
    assert not SESSIONS.is_form_token(first, "")
    assert not SESSIONS.is_form_token(first, "é")
