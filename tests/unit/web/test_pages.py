"""Each page shows its answer, is whole without a script, and says how old it is and from where."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from tests.harness import bad_minute
from tests.harness.bad_minute import JOB_ID, PreparedDesk, prepared
from tests.harness.page_parts import PageParts, faults

from jobstream.answers.as_of import as_of
from jobstream.answers.errors import NoSuch, SourceAway

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobstream.answers.job_screen import JobAnswer

    Open = Callable[..., TestClient]

PAGES = {
    "/": ("Overview", "2 late queues", "MailServerAway", "past its limit"),
    "/queues": ("Queues", "12 min 22 s", "shop.workers", "paused"),
    "/queues/mail": ("Queue mail", "the breaker of what it calls is open", "5m"),
    "/jobs": ("Jobs", "8 727 ahead of it", "args are not searched", "key account-311"),
    f"/jobs/{JOB_ID}": ("grace@example.com", "shop.mail.dlq:1:918", "Traceback", "attempt 3"),
    "/dead-letters": ("208 open letters", "insufficient funds", "its bytes are no job"),
    "/types": ("charge_card", "not in the code", "mail-server"),
    "/schedules": ("nightly-totals", "Europe/Berlin", "does not fire", "too many complaints"),
    "/limits": ("bank", "17 of the last 20 calls failed", "8 at once", "concurrency 4"),
    "/workers": ("web-1:3120", "2 of 16", "no answer: timed out", "4 of the workers are"),
    "/audit": ("ada", "queue paused", "the bank asked for it"),
    "/health": ("Something is not well.", "behind their objective: mail, payments"),
}


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def make(answers: dict[str, Any] | None = None, **options: str) -> TestClient:
        desk = PreparedDesk(
            tmp_path, {**bad_minute.ANSWERS, **(answers or {})}, open_to_loopback=True, **options
        )
        return TestClient(prepared(desk), base_url="http://localhost", client=("127.0.0.1", 4711))

    return make


@pytest.mark.parametrize("path", PAGES)
def test_page_shows_its_answer(opened: Open, path: str) -> None:
    answer = opened().get(path)

    assert answer.status_code == 200, answer.text
    assert faults(answer.text) == []
    shown = PageParts(answer.text).text
    assert [words for words in PAGES[path] if words not in shown] == []
    assert "Read from the log" in shown
    (here,) = [
        each
        for each in PageParts(answer.text).all("a")
        if each.attributes.get("aria-current") == "page"
    ]
    assert path.startswith(here.attributes["href"])


@pytest.mark.parametrize("path", PAGES)
def test_fragment_has_the_same_regions_without_what_is_around(opened: Open, path: str) -> None:
    client = opened()

    whole = PageParts(client.get(path).text)
    part = PageParts(client.get(path, headers={"X-Fragment": "1"}).text)

    regions = [each.attributes["id"] for each in whole.elements if "data-live" in each.attributes]
    assert regions
    assert [
        each.attributes["id"] for each in part.elements if "data-live" in each.attributes
    ] == regions
    assert not part.all("nav") + part.all("html")


def test_pages_can_be_mounted_under_a_prefix(tmp_path: Path) -> None:
    desk = PreparedDesk(tmp_path, open_to_loopback=True)
    outer = Starlette(routes=[Mount("/ops/jobs", prepared(desk))])
    client = TestClient(outer, base_url="http://localhost", client=("127.0.0.1", 4711))

    for path in PAGES:
        answer = client.get(f"/ops/jobs{path}")
        assert answer.status_code == 200
        for each in PageParts(answer.text).elements:
            for name in ("href", "src", "action"):
                link = each.attributes.get(name, "/ops/jobs/")
                assert link.startswith(("/ops/jobs/", "#")), link
    style = next(
        each
        for each in PageParts(answer.text).all("link")
        if each.attributes["rel"] == "stylesheet"
    )
    assert client.get(style.attributes["href"]).headers["content-type"].startswith("text/css")


def test_prefix_of_a_proxy_is_in_every_link(opened: Open) -> None:
    answer = opened(prefix="/jobs").get("/jobs/queues")

    assert answer.status_code == 200
    links = [each.attributes["href"] for each in PageParts(answer.text).all("a")]
    assert all(link.startswith(("/jobs/", "#")) for link in links)


def test_old_answer_says_why_and_how_old_it_is(opened: Open) -> None:
    told = as_of("views", 312.0, bad_minute.NOW.timestamp(), "the projection is 5 minutes behind")

    shown = PageParts(opened({"overview": replace(bad_minute.OVERVIEW, as_of=told)}).get("/").text)

    assert "Read from the views 5 min 12 s ago" in shown.text
    assert "Old answer. the projection is 5 minutes behind" in shown.text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (SourceAway("no broker answers at kafka:9092"), 503, "Running jobs are not touched"),
        (NoSuch("app 'shop' has no queue 'mial'; it has: mail"), 404, "has no queue 'mial'"),
        (ValueError("a secret of the server"), 500, "its log has it as correlation_id"),
    ],
)
def test_error_is_a_page_that_says_what_to_do(
    opened: Open, error: Exception, status: int, words: str
) -> None:
    answer = opened({"queues": error}).get("/queues")

    assert answer.status_code == status
    assert faults(answer.text) == []
    assert words in PageParts(answer.text).text
    assert "a secret of the server" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize(
    ("name", "path", "empty", "words"),
    [
        ("queues", "/queues", {"queues": ()}, "jobstream topics apply"),
        ("jobs", "/jobs", {"jobs": (), "after": ""}, "jobstream enqueue"),
        ("jobs", "/jobs?type=send_fax", {"jobs": (), "after": ""}, "take the filter away"),
        ("letters", "/dead-letters", {"letters": (), "total": 0}, "No dead letter is open."),
        ("types", "/types", {"types": ()}, "No job type is known."),
        ("schedules", "/schedules", {"schedules": ()}, "jobstream schedules add"),
        ("limits_and_breakers", "/limits", {"breakers": (), "limits": ()}, "No breaker is known."),
        ("workers", "/workers", {"processes": (), "runs": ()}, "jobstream worker MODULE:APP"),
        ("audit", "/audit", {"acts": ()}, "No act is in force."),
        ("overview", "/", {"queues": (), "orders": (), "runs": ()}, "jobstream topics apply"),
    ],
)
def test_empty_page_says_what_to_do(
    opened: Open, name: str, path: str, empty: dict[str, Any], words: str
) -> None:
    full = bad_minute.LETTERS if name == "letters" else bad_minute.ANSWERS[name]
    answer = opened({name: replace(full, **empty)}).get(path)

    assert faults(answer.text) == []
    assert words in PageParts(answer.text).text


def test_filter_of_jobs_goes_on_to_the_next_page_and_to_each_state(opened: Open) -> None:
    client = opened()

    page = PageParts(client.get("/jobs?type=send_*&state=dead&text=&queue=mail&since=6h").text)

    links = {each.attributes.get("rel") or each.attributes["href"]: each for each in page.all("a")}
    older = links["next"].attributes["href"]
    assert older == "/jobs?state=dead&after=WzEsICJ4Il0&type=send_%2A&queue=mail&since=6h"
    assert any(href.startswith("/jobs?state=running&type=send_%2A&queue=mail") for href in links)
    fields = {
        each.attributes.get("name"): each.attributes.get("value") for each in page.all("input")
    }
    assert fields["type"] == "send_*"
    assert fields["since"] == "6h"


def test_bad_value_of_a_filter_is_named(opened: Open) -> None:
    answer = opened().get("/jobs?since=yesterday")

    assert answer.status_code == 422
    assert "since='yesterday'" in PageParts(answer.text).text


def test_thousand_queues_are_shown_a_hundred_at_a_time(opened: Open) -> None:
    many = tuple(bad_minute.queue_row(f"queue-{n:04d}", lag=n) for n in range(1_000))
    client = opened({"queues": replace(bad_minute.ANSWERS["queues"], queues=many)})

    first = PageParts(client.get("/queues").text)
    last = PageParts(client.get("/queues?from=900").text)
    found = PageParts(client.get("/queues?text=QUEUE-077").text)

    assert "100 of 1 000 queues" in first.text
    assert len(first.all("tr")) == 101
    assert "queue-0999" in last.text
    assert "10 of 10 queues" in found.text


def test_long_history_is_bounded_and_says_what_is_left_out(opened: Open) -> None:
    step = bad_minute.STEPS[1]
    steps = tuple(
        replace(step, offset=n, detail={**step.detail, "attempt": 1 + n // 2}) for n in range(500)
    )
    job = replace(bad_minute.JOB, steps=steps, steps_left_out=19_500)

    answer = opened({"job": job}).get(f"/jobs/{JOB_ID}")

    assert "19 500 records in the middle are left out." in PageParts(answer.text).text
    assert len(answer.content) < 500_000
    drawn = [
        each
        for each in PageParts(answer.text).all("rect")
        if "stretch" in each.attributes.get("class", "")
    ]
    assert 0 < len(drawn) <= 120


def test_id_with_a_slash_has_a_page(opened: Open) -> None:
    seen: list[str] = []

    def job(job_id: str) -> JobAnswer:
        seen.append(job_id)
        return replace(bad_minute.JOB, id=job_id)

    client = opened({"job": job})

    answer = client.get("/jobs/imports/2026%2F11?")

    assert answer.status_code == 200
    assert seen == ["imports/2026/11"]
