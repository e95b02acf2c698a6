"""Signing in with a token, out again, and what a session may see; themes; files that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient
from tests.harness.bad_minute import PreparedDesk, prepared
from tests.harness.page_parts import PageParts, faults

from jobstream.web.callers import TokenRole
from jobstream.web.pages.static_files import static_files, static_path

if TYPE_CHECKING:
    from pathlib import Path

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def desk(tmp_path: Path) -> PreparedDesk:
    return PreparedDesk(tmp_path)


@pytest.fixture
def client(desk: PreparedDesk) -> TestClient:
    return TestClient(prepared(desk), base_url="https://jobs.example.com", follow_redirects=False)


def test_stranger_is_led_to_the_sign_in_and_back(desk: PreparedDesk, client: TestClient) -> None:
    token = desk.tokens.add("ada", {TokenRole.READ})

    led = client.get("/jobs?state=dead")
    assert led.status_code == 303
    place = led.headers["location"]
    assert urlsplit(place).path == "/sign-in"
    assert parse_qs(urlsplit(place).query) == {"next": ["/jobs?state=dead"]}
    form = client.get(place)
    assert faults(form.text) == []
    (kept,) = [
        each for each in PageParts(form.text).all("input") if each.attributes["name"] == "next"
    ]
    signed = client.post("/sign-in", data={"token": token, "next": kept.attributes["value"]})

    assert signed.status_code == 303
    assert signed.headers["location"] == "/jobs?state=dead"
    cookie = signed.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert token not in cookie
    page = client.get("/jobs")
    assert page.status_code == 200
    assert "ada" in PageParts(page.text).text


def test_wrong_token_is_refused_with_what_to_do(client: TestClient) -> None:
    answer = client.post("/sign-in", data={"token": "jst_000000000000_" + "x" * 43})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "jobstream web token add" in PageParts(answer.text).text


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example/", "/\\evil", "javascript:alert(1)", "/a\nb"]
)
def test_sign_in_leads_to_our_own_pages_alone(
    desk: PreparedDesk, client: TestClient, place: str
) -> None:
    token = desk.tokens.add("ada", {TokenRole.READ})

    signed = client.post("/sign-in", data={"token": token, "next": place})

    assert signed.headers["location"] == "/"


def test_signed_out_or_revoked_is_out(desk: PreparedDesk, client: TestClient) -> None:
    token = desk.tokens.add("ada", {TokenRole.READ})
    client.post("/sign-in", data={"token": token})
    assert client.get("/").status_code == 200

    assert client.post("/sign-out", data={}).status_code == 303
    assert client.get("/").status_code == 303
    assert client.get("/", headers={"X-Fragment": "1"}).status_code == 401


def test_role_that_may_not_read_sees_no_page(desk: PreparedDesk, client: TestClient) -> None:
    token = desk.tokens.add("shop", {TokenRole.ENQUEUE})
    client.post("/sign-in", data={"token": token})

    answer = client.get("/queues")

    assert answer.status_code == 403
    assert "needs read" in PageParts(answer.text).text
    assert "mail" not in PageParts(answer.text).text


def test_token_of_one_queue_sees_that_one_alone(desk: PreparedDesk, client: TestClient) -> None:
    token = desk.tokens.add("mailer", {TokenRole.READ}, ["mail"])
    client.post("/sign-in", data={"token": token})

    queues = PageParts(client.get("/queues").text).text

    assert "1 of 1 queue" in queues
    assert "payments" not in queues
    assert client.get("/queues/payments").status_code == 403
    assert client.get("/").status_code == 403
    assert client.get("/jobs").status_code == 200
    assert [given[0].queue for name, given in desk.asked if name == "jobs"] == ["mail"]


def test_sign_in_is_not_taken_from_another_site(desk: PreparedDesk, client: TestClient) -> None:
    token = desk.tokens.add("ada", {TokenRole.READ})

    answer = client.post(
        "/sign-in", data={"token": token}, headers={"Origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_form_is_bounded_and_of_one_kind(client: TestClient) -> None:
    assert client.post("/sign-in", json={"token": "x"}).status_code == 415
    assert client.post("/sign-in", content="a=" + "x" * 300_000, headers=FORM).status_code == 413
    many = "&".join(f"f{n}=1" for n in range(600))
    assert client.post("/sign-in", content=many, headers=FORM).status_code == 400


def test_theme_is_kept(client: TestClient) -> None:
    answer = client.post("/theme", data={"theme": "dark", "_back": "/sign-in"})

    assert answer.headers["location"] == "/sign-in"
    assert 'data-theme="dark"' in client.get("/sign-in").text
    client.post("/theme", data={"theme": "<b>", "_back": "//evil.example"})
    assert 'data-theme="auto"' in client.get("/sign-in").text


def test_files_are_kept_for_as_long_as_their_bytes_are_the_same(client: TestClient) -> None:
    for name, file in static_files().items():
        answer = client.get(static_path(name))
        assert answer.content == file.body
        assert "immutable" in answer.headers["cache-control"]
        again = client.get(static_path(name), headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"/static/{'0' * 16}/jobstream.css")
    assert other.headers["cache-control"] == "no-cache"
    assert client.get("/static/x/passwd.css").status_code == 404
    assert client.get("/static/x/..%2F..%2Fdesk.py").status_code == 404
    assert set(static_files()) == {"jobstream.css", "jobstream.js", "icon.svg"}


def test_pages_have_no_code_of_their_own_and_name_no_other_host(client: TestClient) -> None:
    answer = client.get("/sign-in")

    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "same-origin"
    for file in static_files().values():
        text = file.body.decode()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        assert "innerHTML = " not in text
        assert "eval(" not in text
