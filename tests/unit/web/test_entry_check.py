"""Who is let in: by token, role, queue, host, origin, session; each route with each role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.harness.web_calls import WebSide, without_work

from jobstream.web.api_route import V1
from jobstream.web.application import ROUTES
from jobstream.web.callers import TokenRole
from jobstream.web.entry_check import COOKIE, FORM_HEADER

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

INCLUDES = {
    "enqueue": {"enqueue"},
    "read": {"read"},
    "operate": {"enqueue", "read", "operate"},
    "admin": {"enqueue", "read", "operate", "admin"},
}
PAGE = f"{V1}/overview"


@pytest.fixture
def served(tmp_path: Path) -> WebSide:
    return WebSide(tmp_path, routes=without_work())


def bearer(served: WebSide, *roles: str, queues: tuple[str, ...] = ()) -> dict[str, str]:
    token = served.tokens.add("-".join(roles), {TokenRole(role) for role in roles}, queues)
    return {"Authorization": f"Bearer {token}"}


def is_problem(answer: httpx2.Response, status: int) -> bool:
    told = answer.json()
    kind = answer.headers["content-type"]
    return kind == "application/problem+json" and answer.status_code == told["status"] == status


def test_each_route_is_for_its_role_and_those_above(served: WebSide) -> None:
    asked = [(role, bearer(served, role)) for role in TokenRole]
    wrong = []
    for route in ROUTES:
        path = V1 + route.path.replace("{", "").replace("}", "")
        for role, headers in asked:
            answer = served.ask(route.method, path, headers=headers)
            is_in = answer.status_code not in {401, 403}
            if is_in is not (str(route.needs) in INCLUDES[role]):
                wrong.append((route.name, str(role), answer.status_code))
        if served.ask(route.method, path).status_code != 401:
            wrong.append((route.name, "nobody", 0))

    assert not wrong


def test_a_refusal_names_the_role_that_it_takes(served: WebSide) -> None:
    answer = served.ask("GET", PAGE, headers=bearer(served, "enqueue"))

    assert is_problem(answer, 403)
    assert answer.json()["needs"] == "read"


@pytest.mark.parametrize("given", ["Bearer x", "Basic eDp5", "Bearer", "", "bearer \xe9"])
def test_a_wrong_token_is_refused_also_on_the_loopback(served: WebSide, given: str) -> None:
    answer = served.ask("GET", PAGE, headers={"Authorization": given.encode("latin-1")})

    assert is_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_without_tokens_the_loopback_is_let_in(served: WebSide) -> None:
    assert served.ask("GET", PAGE).json()["who"] == "local"


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("10.0.0.9", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.9"}, 403),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.9"}, 403),
        ("127.0.0.1", {"Host": "evil.example"}, 421),
        ("127.0.0.1", {"Host": "127.0.0.1.evil.example"}, 421),
        ("127.0.0.1", {"Host": "[::1]:8390"}, 200),
        ("::1", {}, 200),
    ],
)
def test_without_tokens_nobody_else_is(
    served: WebSide, peer: str, headers: dict[str, str], status: int
) -> None:
    async def once(_: object) -> httpx2.Response:
        async with served.client((peer, 1)) as client:
            return await client.get(PAGE, headers=headers)

    assert served.all(once).status_code == status


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                {"Origin": "null"}]
)  # fmt: skip
def test_no_page_of_another_site_acts(served: WebSide, headers: dict[str, str]) -> None:
    answer = served.ask("POST", f"{V1}/queues/mail/pause", headers=headers, json={})

    assert is_problem(answer, 403)


def test_an_act_of_the_same_origin_passes(served: WebSide) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

    assert served.ask("POST", f"{V1}/queues/mail/pause", headers=headers, json={}).is_success


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://localhost:x", "null", ""])
def test_an_origin_that_is_none_is_another_site(served: WebSide, origin: str) -> None:
    answer = served.ask("POST", f"{V1}/queues/mail/pause", headers={"Origin": origin}, json={})

    assert is_problem(answer, 403)


def test_only_the_named_hosts_are_served(tmp_path: Path) -> None:
    served = WebSide(tmp_path, routes=without_work(), hosts=("jobs.example",))
    headers = bearer(served, "read")

    assert served.ask("GET", PAGE, headers=headers).status_code == 421
    assert served.ask("GET", PAGE, headers={**headers, "Host": "jobs.example:8390"}).is_success


def test_a_session_reads_and_acts_with_its_form_alone(served: WebSide) -> None:
    served.tokens.add("ann", {TokenRole.OPERATE})
    (found,) = served.tokens.read().by_id.values()
    sessions = served.desk.sessions
    cookie = sessions.begin(found.id, served.desk.now_s())
    session = sessions.read(cookie, served.desk.now_s())
    assert session is not None
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    path = f"{V1}/queues/mail/pause"

    assert served.ask("GET", PAGE, headers=headers).json()["who"] == "ann"
    assert is_problem(served.ask("POST", path, headers=headers, json={}), 403)
    form = {**headers, FORM_HEADER: sessions.form_token(session)}
    assert served.ask("POST", path, headers=form, json={}).is_success


def test_a_session_ends_with_its_token(served: WebSide, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("jobstream.web.tokens.time.monotonic", lambda: now[0])
    served.tokens.add("other", {TokenRole.READ})
    served.tokens.add("ann", {TokenRole.READ})
    found = next(each for each in served.tokens.read().by_id.values() if each.name == "ann")
    cookie = served.desk.sessions.begin(found.id, served.desk.now_s())
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    assert served.ask("GET", PAGE, headers=headers).is_success

    served.tokens.revoke("ann")
    now[0] += 2

    assert served.ask("GET", PAGE, headers=headers).status_code == 401


def test_each_token_has_a_rate_of_its_own(tmp_path: Path) -> None:
    served = WebSide(tmp_path, routes=without_work(), rate_per_s=0.001, rate_burst=2)
    first, second = bearer(served, "read"), bearer(served, "admin")

    answers = [served.ask("GET", PAGE, headers=first) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 1
    assert is_problem(answers[-1], 429)
    assert served.ask("GET", PAGE, headers=second).is_success


def test_every_answer_has_the_headers_that_browsers_need(served: WebSide) -> None:
    for path in (PAGE, "/nothing", "/healthz"):
        headers = served.ask("GET", path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]
