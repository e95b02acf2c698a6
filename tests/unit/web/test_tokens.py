"""Tokens: shown once, kept as a hash that only the owner reads, followed while a server runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from jobstream.errors import ConfigError
from jobstream.web.callers import TokenRole
from jobstream.web.tokens import LOOK_S, TokenFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "app" / "tokens.json")


def test_a_token_is_not_in_its_file_and_opens_what_it_was_made_for(file: TokenFile) -> None:
    token = file.add("ci", {TokenRole.READ}, ["mail"])

    caller = file.read().caller(token)
    assert caller is not None
    assert (caller.name, set(caller.roles), set(caller.queues)) == ("ci", {"read"}, {"mail"})
    assert token.rpartition("_")[2] not in file.path.read_text()
    assert file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "given", ["", "jst_", "x" * 10_000, "jst_000000000000_" + "a" * 43, "\ud800"]
)
def test_what_is_no_token_opens_nothing(file: TokenFile, given: str) -> None:
    file.add("ci", {TokenRole.READ})

    assert file.read().caller(given) is None


def test_a_token_with_one_other_letter_opens_nothing(file: TokenFile) -> None:
    token = file.add("ci", {TokenRole.READ})
    other = token[:-1] + ("a" if token[-1] != "a" else "b")

    assert file.read().caller(other) is None


def test_a_revoked_token_opens_nothing(file: TokenFile) -> None:
    token = file.add("ci", {TokenRole.READ})
    kept = file.add("other", {TokenRole.READ})

    file.revoke("ci")

    assert file.read().caller(token) is None
    assert file.read().caller(kept) is not None


def test_a_running_server_follows_the_file(
    file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("jobstream.web.tokens.time.monotonic", lambda: now[0])
    assert not file.now().by_id
    token = TokenFile(file.path).add("ci", {TokenRole.READ})
    assert file.now().caller(token) is None, "it looks once a second"

    now[0] += LOOK_S

    assert file.now().caller(token) is not None


def test_a_running_server_keeps_what_it_had_of_a_file_that_broke(
    file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("jobstream.web.tokens.time.monotonic", lambda: now[0])
    token = file.add("ci", {TokenRole.READ})
    assert file.now().caller(token) is not None
    file.path.write_text("{")
    now[0] += LOOK_S

    assert file.now().caller(token) is not None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2}', json.dumps({"version": 1, "tokens": [{}]})]
)
def test_a_file_that_is_none_is_refused_with_its_name(file: TokenFile, text: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(text)
    file.path.chmod(0o600)

    with pytest.raises(ConfigError, match=r"tokens\.json is no file of tokens"):
        file.read()


def test_a_file_that_others_can_read_is_refused(file: TokenFile) -> None:
    file.add("ci", {TokenRole.READ})
    os.chmod(file.path, 0o644)  # noqa: PTH101 - what is to be refused

    with pytest.raises(ConfigError, match="chmod 600"):
        file.read()


@pytest.mark.parametrize(("name", "roles"), [("a b", ["read"]), ("", ["read"]), ("ci", [])])
def test_a_bad_name_and_no_role_are_refused(file: TokenFile, name: str, roles: list[str]) -> None:
    with pytest.raises(ConfigError):
        file.add(name, {TokenRole(role) for role in roles})


def test_a_name_is_given_once(file: TokenFile) -> None:
    file.add("ci", {TokenRole.READ})

    with pytest.raises(ConfigError, match="already"):
        file.add("ci", {TokenRole.READ})
