"""Signing in by a real provider on the loopback: code, PKCE, state, nonce, and what goes wrong."""

from __future__ import annotations

import urllib.error
import urllib.request
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient
from tests.harness.bad_minute import ANSWERS, PreparedDesk, prepared
from tests.harness.identity_provider import CLIENT, SECRET, IdentityProvider, identity_provider
from tests.harness.page_parts import PageParts, faults
from tests.unit.web.test_page_acts import form_to

from jobstream.web.callers import TokenRole
from jobstream.web.oidc import SESSION_S, challenge_of
from jobstream.web.oidc_options import OidcOptions
from jobstream.web.pages.oidc_sign_in import LASTS_S, UsedStates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

LIMIT_S = 60
BEGIN, SESSION = "/sign-in/oidc?next=/queues", "jobstream_session"


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as found:
        yield found


@pytest.fixture
def desk(tmp_path: Path, provider: IdentityProvider) -> PreparedDesk:
    options = OidcOptions(
        issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET, name_claim="email",
        roles={"ops": TokenRole.OPERATE, "viewers": TokenRole.READ}, timeout_s=LIMIT_S,
    )  # fmt: skip
    answers = {**ANSWERS, "pause_queue": lambda *_: None}
    return PreparedDesk(tmp_path, answers, open_to_loopback=True, oidc=options)


@cache
def served(desk: PreparedDesk) -> ASGIApp:
    """One server for all browsers of a test."""
    return prepared(desk)


def browser(desk: PreparedDesk, **more: Any) -> TestClient:  # noqa: ANN401 - the client's
    return TestClient(
        served(desk), base_url="https://jobs.example.com", follow_redirects=False, **more
    )


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def agreed(address: str) -> str:
    """The path that the provider sends the browser back to."""
    try:
        urllib.request.build_opener(_Stay).open(address, timeout=LIMIT_S)
    except urllib.error.HTTPError as answer:
        with answer:
            parts = urlsplit(answer.headers["Location"])
            assert f"{parts.scheme}://{parts.netloc}" == "https://jobs.example.com"
            return f"{parts.path}?{parts.query}"
    raise AssertionError(address)


def signed_in(client: TestClient) -> Any:  # noqa: ANN401 - the client's answer
    return client.get(agreed(client.get(BEGIN).headers["location"]))


def test_signing_in_leads_back_to_the_page_with_the_role_of_the_claim(
    desk: PreparedDesk, provider: IdentityProvider
) -> None:
    client = browser(desk)
    form = client.get("/sign-in?next=/queues")
    assert faults(form.text) == []
    assert 'href="/sign-in/oidc?next=%2Fqueues"' in form.text

    back = signed_in(client)

    assert (back.status_code, back.headers["location"]) == (303, "/queues")
    cookie = back.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    page = client.get("/queues/mail")
    assert "oidc:ann@example.com" in PageParts(page.text).text
    answer = client.post("/acts/queues/pause", data=form_to(page.text, "/acts/queues/pause"))
    assert answer.headers["location"] == "/queues/mail"
    (by, queue, _) = next(given for name, given in desk.asked if name == "pause_queue")
    assert (by.name, queue) == ("oidc:ann@example.com", "mail")
    assert provider.asked["/token"] == 1


def test_name_of_any_letters_is_kept_in_the_session(
    desk: PreparedDesk, provider: IdentityProvider
) -> None:
    provider.user["email"] = "\U0001f98a\u6771" * 200
    client = browser(desk)
    signed_in(client)

    page = client.get("/queues")

    assert page.status_code == 200
    assert "oidc:\U0001f98a\u6771" in page.text


def test_what_the_browser_is_sent_with_holds_no_secret_of_the_sign_in(
    desk: PreparedDesk,
) -> None:
    answer = browser(desk).get(BEGIN)

    asked = {name: values[0] for name, values in parse_qs(
        urlsplit(answer.headers["location"]).query).items()}  # fmt: skip
    verifier = desk.sessions.derive("pkce", asked["state"])
    assert asked["code_challenge"] == challenge_of(verifier)
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == "https://jobs.example.com/sign-in/oidc/back"
    assert verifier not in answer.headers["location"] + answer.headers["set-cookie"]


def test_state_is_taken_once_and_only_in_the_browser_that_began(
    desk: PreparedDesk, provider: IdentityProvider
) -> None:
    client, other = browser(desk), browser(desk)
    path = agreed(client.get(BEGIN).headers["location"])
    held = client.cookies["jobstream_sign_in"]
    other.get(BEGIN)

    assert other.get(path).status_code == 403
    assert browser(desk).get(path).status_code == 403
    assert provider.asked["/token"] == 0
    assert client.get(path).status_code == 303
    again = browser(desk, cookies={"jobstream_sign_in": held}).get(path)

    assert again.status_code == 403
    assert "ended already" in PageParts(again.text).text
    assert provider.asked["/token"] == 1


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        ({"nonce": "of another sign-in"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another-client"}, "udience"),
        ({"aud": [CLIENT, "other"], "azp": "other"}, "azp"),
        ({"iss": "https://evil.example"}, "ssuer"),
        ({"exp": 1}, "expired"),
        ({"roles": ["other"]}, "has no role here"),
    ],
)
def test_wrong_id_token_begins_no_session(
    desk: PreparedDesk, provider: IdentityProvider, lies: dict[str, Any], words: str
) -> None:
    client = browser(desk)
    provider.lies = lies

    answer = signed_in(client)

    assert answer.status_code == 403
    assert words in PageParts(answer.text).text
    assert SESSION not in client.cookies


def test_what_the_provider_says_instead_of_a_code_is_shown_as_text(desk: PreparedDesk) -> None:
    client = browser(desk)
    path = agreed(client.get(BEGIN).headers["location"])
    state = parse_qs(urlsplit(path).query)["state"][0]

    answer = client.get(
        "/sign-in/oidc/back",
        params={"state": state, "error": "x", "error_description": "<script>alert(1)</script>"},
    )

    assert answer.status_code == 403
    assert faults(answer.text) == []
    assert "<script>alert(1)</script>" in PageParts(answer.text).text


def test_answer_of_another_provider_is_refused(
    desk: PreparedDesk, provider: IdentityProvider
) -> None:
    client = browser(desk)
    path = agreed(client.get(BEGIN).headers["location"])

    answer = client.get(path.replace("iss=http", "iss=https"))

    assert answer.status_code == 403
    assert provider.asked["/token"] == 0


def test_code_that_the_provider_refuses_is_told(
    desk: PreparedDesk, provider: IdentityProvider
) -> None:
    client = browser(desk)
    path = agreed(client.get(BEGIN).headers["location"])
    code = parse_qs(urlsplit(path).query)["code"][0]

    answer = client.get(path.replace(code, "guessed"))

    assert answer.status_code == 403
    assert "invalid_grant" in PageParts(answer.text).text
    assert provider.asked["/token"] == 1


def test_provider_that_is_away_is_told_and_tokens_go_on(
    desk: PreparedDesk, provider: IdentityProvider
) -> None:
    client, token = browser(desk), desk.tokens.add("ada", {TokenRole.READ})
    provider.is_away = True

    answer = client.get(BEGIN)
    assert answer.status_code == 503
    assert "answered 503" in PageParts(answer.text).text
    assert client.post("/sign-in", data={"token": token}).status_code == 303


def test_session_and_sign_in_end(
    desk: PreparedDesk, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, slow = browser(desk), browser(desk)
    signed_in(client)
    path = agreed(slow.get(BEGIN).headers["location"])
    now_s = desk.now_s()

    monkeypatch.setattr(desk, "now_s", lambda: now_s + LASTS_S + 1)
    assert slow.get(path).status_code == 403
    assert client.get("/queues").status_code == 200
    monkeypatch.setattr(desk, "now_s", lambda: now_s + SESSION_S + 5)
    assert client.get("/queues").headers["location"].startswith("/sign-in")
    assert provider.asked["/token"] == 1


def test_session_of_another_provider_is_none(desk: PreparedDesk) -> None:
    client = browser(desk)
    signed_in(client)
    assert desk.oidc is not None
    (issuer, options) = desk.oidc.options.issuer, desk.oidc.options
    object.__setattr__(options, "issuer", "https://another.example")

    assert client.get("/queues").status_code == 303
    object.__setattr__(options, "issuer", issuer)
    assert client.get("/queues").status_code == 200


def test_cookie_for_one_purpose_is_none_for_another(desk: PreparedDesk) -> None:
    sealed = desk.sessions.seal("sign-in", ["s", "/"], desk.now_s() + 60)

    assert desk.sessions.unseal("sign-in", sealed, desk.now_s()) is not None
    assert desk.sessions.unseal("sign-in", sealed + "0", desk.now_s()) is None
    assert desk.sessions.unseal("other", sealed, desk.now_s()) is None
    assert desk.sessions.read(sealed, desk.now_s()) is None
    assert desk.sessions.unseal("sign-in", "é" * 9, desk.now_s()) is None


def test_used_states_are_forgotten_when_they_are_over() -> None:
    used = UsedStates()

    assert used.take("a", 10.0, 0.0)
    assert not used.take("a", 10.0, 9.0)
    assert used.take("b", 30.0, 11.0)
    assert len(used._until_s) == 1  # noqa: SLF001 - that it is bounded
