"""Paths that there are not: a page for browsers, a problem document for clients of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from tests.harness.bad_minute import ANSWERS, PreparedDesk, prepared
from tests.harness.page_parts import PageParts, faults

from jobstream.web.callers import TokenRole

if TYPE_CHECKING:
    from pathlib import Path

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def client(folder: Path, *, mounted: str = "", **options: str) -> TestClient:
    desk = PreparedDesk(folder, dict(ANSWERS), open_to_loopback=True, **options)
    made = prepared(desk)
    app = Starlette(routes=[Mount(mounted, made)]) if mounted else made
    return TestClient(
        app, base_url="http://localhost", client=("127.0.0.1", 1), follow_redirects=False
    )


@pytest.mark.parametrize("path", ["/nothing", "/queues/", "/operations/a/b", "/<b>x</b>"])
def test_browser_gets_a_page_with_the_way_back(tmp_path: Path, path: str) -> None:
    answer = client(tmp_path).get(path, headers=HTML)

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert faults(answer.text) == []
    assert "no page" in PageParts(answer.text).text
    assert 'href="/queues"' in answer.text


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/nothing", {}), ("/nothing", {"Accept": "application/json"}), ("/api/v1/nothing", HTML)],
)
def test_client_of_the_api_gets_a_problem(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    answer = client(tmp_path).get(path, headers=headers)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith("no-path")


def test_wrong_method_is_told_to_both(tmp_path: Path) -> None:
    page = client(tmp_path).post("/queues", headers=HTML)
    call = client(tmp_path).post("/api/v1/queues", headers=HTML)

    assert (page.status_code, call.status_code) == (405, 405)
    assert page.headers["content-type"].startswith("text/html")
    assert call.headers["content-type"] == "application/problem+json"


def test_stranger_gets_the_page_without_what_is_around_it(tmp_path: Path) -> None:
    found = client(tmp_path)
    PreparedDesk(tmp_path).tokens.add("ada", {TokenRole.READ})

    answer = found.get("/nothing", headers=HTML)

    assert answer.status_code == 404
    assert "<nav" not in answer.text


@pytest.mark.parametrize(
    ("mounted", "prefix", "asked", "led_to"),
    [
        ("", "/jobs", "/jobs", "/jobs/"),
        ("", "/jobs", "/jobs?a=1", "/jobs/?a=1"),
        ("/ops", "/jobs", "/ops/jobs", "/ops/jobs/"),
    ],
)
def test_prefix_without_its_slash_leads_to_the_first_page(
    tmp_path: Path, mounted: str, prefix: str, asked: str, led_to: str
) -> None:
    found = client(tmp_path, mounted=mounted, prefix=prefix)

    answer = found.get(asked)

    assert (answer.status_code, answer.headers["location"]) == (307, led_to)
    assert found.get(led_to).status_code == 200


def test_page_of_a_path_beside_the_prefix_leads_below_it(tmp_path: Path) -> None:
    answer = client(tmp_path, prefix="/jobs").get("/other", headers=HTML)

    assert answer.status_code == 404
    assert 'href="/jobs/queues"' in answer.text
