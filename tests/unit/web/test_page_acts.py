"""A form acts through the API's own function: by a session, with its token, for those who may."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from tests.harness import bad_minute
from tests.harness.bad_minute import JOB_ID, PreparedDesk, prepared
from tests.harness.page_parts import Element, PageParts, faults

from jobstream.acting.letter_acts import WouldClose
from jobstream.acting.operations import OperationNow
from jobstream.answers.errors import NoSuch, SourceAway
from jobstream.web.callers import TokenRole
from jobstream.web.pages.page_acts import CALLS, SAID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Fields = dict[str, str]
DONE = {
    name: lambda *_: None
    for name in (
        "pause_queue", "resume_queue", "pause_type", "resume_type", "cancel", "uncancel", "quiet",
        "unquiet", "drain", "release_breaker", "release_limit", "run_schedule", "pause_schedule",
        "resume_schedule", "hold", "change",
    )
}  # fmt: skip
"""Acts that are done, as the desk is asked for them."""


@pytest.fixture
def desk(tmp_path: Path) -> PreparedDesk:
    return PreparedDesk(tmp_path, {**bad_minute.ANSWERS, **DONE})


@pytest.fixture
def signed_in(desk: PreparedDesk) -> Callable[[TokenRole], TestClient]:
    def make(role: TokenRole) -> TestClient:
        client = TestClient(
            prepared(desk), base_url="https://jobs.example.com", follow_redirects=False
        )
        token = desk.tokens.add(f"ada-{role}", {role})
        assert client.post("/sign-in", data={"token": token}).status_code == 303
        return client

    return make


def forms(html: str) -> list[tuple[Element, Fields]]:
    """Every form of a page with its fields, as a browser sends them."""
    found: list[tuple[Element, Fields]] = []
    for each in PageParts(html).elements:
        if each.name == "form":
            found.append((each, {}))
        elif each.name == "input" and found and "form" in each.around:
            found[-1][1][each.attributes["name"]] = each.attributes.get("value", "")
    return found


def form_to(html: str, path: str) -> Fields:
    """The fields of the first form that is sent there."""
    return next(fields for form, fields in forms(html) if form.attributes.get("action") == path)


def asked(desk: PreparedDesk, name: str) -> tuple[Any, ...]:
    """What the act of that name was given."""
    return next(given for each, given in desk.asked if each == name)


def test_pausing_a_queue_is_one_call_with_who_why_and_how_long(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    client = signed_in(TokenRole.OPERATE)
    form = form_to(client.get("/queues/mail").text, "/acts/queues/pause")

    answer = client.post(
        "/acts/queues/pause", data={**form, "why": "the mail server is away", "lasts": "2h"}
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/queues/mail")
    by, queue, lasts = asked(desk, "pause_queue")
    assert (by.name, by.why, queue, lasts) == (
        "ada-operate", "the mail server is away", "mail", "2h",
    )  # fmt: skip
    shown = client.get("/queues/mail")
    assert "Queue mail is paused: no more of its jobs start." in PageParts(shown.text).text
    assert "is paused: no more" not in client.get("/queues/mail").text


PAGES_WITH_FORMS = {
    "/queues/mail": {"queues/pause"},
    "/queues/reports": {"queues/resume"},
    f"/jobs/{JOB_ID}": {"jobs/cancel"},
    "/types": {"types/pause", "types/resume"},
    "/schedules": {"schedules/run", "schedules/pause", "schedules/resume"},
    "/limits": {"breakers/hold", "limits/release", "limits/set"},
    "/workers": {"workers/quiet", "workers/unquiet", "workers/drain"},
}


@pytest.mark.parametrize("path", PAGES_WITH_FORMS)
def test_every_form_of_a_page_does_what_it_says(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient], path: str
) -> None:
    paused = replace(bad_minute.QUEUE, queue=bad_minute.QUEUES[2])
    desk.answers = {
        **desk.answers,
        "queue": lambda name: paused if name == "reports" else bad_minute.QUEUE,
        "job": replace(bad_minute.JOB, has_ended=False, state="waiting"),
    }
    client = signed_in(TokenRole.OPERATE)
    page = client.get(path)
    assert faults(page.text) == []

    sent = set()
    for form, fields in forms(page.text):
        action = form.attributes["action"]
        if action.startswith("/acts/"):
            answer = client.post(action, data={**fields, "why": "a test"})
            assert answer.headers["location"] == path
            assert 'role="status"' in client.get(path).text
            sent.add(action.removeprefix("/acts/"))

    assert sent == PAGES_WITH_FORMS[path]


def test_worker_is_drained_by_one_call_with_who_and_why_and_not_twice(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    client = signed_in(TokenRole.OPERATE)
    page = client.get("/workers").text
    assert 'data-confirm="Drain this worker, and end its process?"' in page
    form = form_to(page, "/acts/workers/drain")

    answer = client.post("/acts/workers/drain", data={**form, "why": "its memory grows"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/workers")
    by, worker = asked(desk, "drain")
    assert (by.name, by.why, worker) == ("ada-operate", "its memory grows", "web-1:3120")
    assert "Worker web-1:3120 drains and leaves." in PageParts(client.get("/workers").text).text

    drains = tuple(replace(each, draining=True, ready=False) for each in bad_minute.PROCESSES)
    desk.answers = {**desk.answers, "workers": replace(bad_minute.WORKERS_NOW, processes=drains)}
    page = client.get("/workers").text
    assert "draining" in PageParts(page).text
    assert "/acts/workers/drain" not in page


@pytest.mark.parametrize("path", PAGES_WITH_FORMS)
def test_reader_gets_no_form_and_may_send_none(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient], path: str
) -> None:
    client = signed_in(TokenRole.READ)

    page = client.get(path)
    token = form_token(client)
    answer = client.post("/acts/queues/pause", data={"_form": token, "queue": "mail"})

    assert "/acts/" not in page.text
    assert answer.status_code == 403
    assert "needs operate" in PageParts(answer.text).text
    assert "pause_queue" not in [name for name, _ in desk.asked]


def form_token(client: TestClient) -> str:
    """What the session's forms carry, as the server computes it from the cookie."""
    app: Any = client.app
    desk = app._desk  # noqa: SLF001 - the one way to a reader's token, whose pages have no form
    session = desk.sessions.read(client.cookies["jobstream_session"], desk.now_s())
    return str(desk.sessions.form_token(session))


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"_form": "0" * 64}, {}),
        ({"_form": "é"}, {}),
        (None, {"Origin": "https://evil.example"}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
        (None, {"Cookie": "jobstream_session=forged.cookie"}),
    ],
)
def test_form_that_is_forged_does_nothing(
    desk: PreparedDesk,
    signed_in: Callable[[TokenRole], TestClient],
    form: Fields | None,
    headers: Fields,
) -> None:
    client = signed_in(TokenRole.OPERATE)
    sound = form_to(client.get("/queues/mail").text, "/acts/queues/pause")
    if "Cookie" in headers:
        client.cookies.clear()

    sent = {"queue": "mail", **(sound if form is None else form)}
    answer = client.post("/acts/queues/pause", data=sent, headers=headers)

    assert answer.status_code in {303, 403}
    assert answer.headers.get("location", "/sign-in").startswith("/sign-in")
    assert "pause_queue" not in [name for name, _ in desk.asked]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoSuch("app 'shop' has no queue 'mail'; it has: post"), "it has: post"),
        (SourceAway("no broker answers"), "no broker answers"),
    ],
)
def test_act_that_fails_says_why_on_the_page_it_came_from(
    desk: PreparedDesk,
    signed_in: Callable[[TokenRole], TestClient],
    error: Exception,
    words: str,
) -> None:
    client = signed_in(TokenRole.OPERATE)
    form = form_to(client.get("/queues/mail").text, "/acts/queues/pause")
    desk.answers = {**desk.answers, "pause_queue": error}

    answer = client.post("/acts/queues/pause", data=form)

    assert answer.headers["location"] == "/queues/mail"
    shown = client.get("/queues/mail").text
    assert 'role="alert"' in shown
    assert f"Not done: {error}" in PageParts(shown).text
    assert words in shown.replace("&#39;", "'")


def test_bad_field_is_named(signed_in: Callable[[TokenRole], TestClient]) -> None:
    client = signed_in(TokenRole.OPERATE)
    form = form_to(client.get("/queues/mail").text, "/acts/queues/pause")

    client.post("/acts/queues/pause", data={**form, "queue": ""})

    assert "field 'queue' is missing" in PageParts(client.get("/queues/mail").text).text
    assert client.post("/acts/queues/destroy", data=form).status_code == 404


def test_many_letters_are_counted_before_any_is_closed(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    running = OperationNow(
        "0199-op", "redrive", "ada-admin@testclient", "mended", "running", 184, 40,
        {"redriven": 40}, ("job x: no broker",), bad_minute.NOW, None, "",
    )  # fmt: skip
    desk.answers = {
        **desk.answers,
        "would_close": WouldClose(184, bad_minute.LETTERS.letters),
        "<lambda>": running,
    }
    client = signed_in(TokenRole.ADMIN)

    counted = client.get("/dead-letters/close?way=redrive&error=MailServerAway&queue=mail")
    assert faults(counted.text) == []
    assert "184 open letters would be redriven" in PageParts(counted.text).text
    form = form_to(counted.text, "/acts/dead-letters/redrive")
    assert (form["expected"], form["error"], form["rate"]) == ("184", "MailServerAway", "50/s")
    (meant,) = asked(desk, "would_close")
    assert (meant.filter.error, meant.queue, meant.everything) == ("MailServerAway", "mail", False)
    assert "<lambda>" not in [name for name, _ in desk.asked]
    begun = client.post("/acts/dead-letters/redrive", data={**form, "why": "mended"})

    assert begun.headers["location"] == "/operations/0199-op"


def test_more_letters_than_were_counted_are_left_alone(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    desk.answers = {**desk.answers, "would_close": WouldClose(184, ())}
    client = signed_in(TokenRole.ADMIN)
    form = form_to(client.get("/dead-letters/close?way=discard").text, "/acts/dead-letters/discard")
    desk.answers = {**desk.answers, "would_close": WouldClose(190, ())}

    answer = client.post("/acts/dead-letters/discard", data={**form, "why": "test data"})

    assert form["everything"] == "true"
    assert answer.headers["location"] == "/dead-letters"
    said = PageParts(client.get("/dead-letters").text).text
    assert "Not done: 190 letters match by now, and 184 were expected" in said


def test_all_jobs_that_match_are_counted_before_any_is_cancelled(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    running = OperationNow(
        "0199-op", "cancel", "ada-admin@testclient", "", "running", 2_866, 40, {"ordered": 40}, (),
        bad_minute.NOW, None, "",
    )  # fmt: skip
    desk.answers = {**desk.answers, "cancel_jobs": lambda *_: running}
    client = signed_in(TokenRole.ADMIN)

    listed = client.get("/jobs?type=send_receipt&state=waiting")
    assert "/cancel?states=waiting&amp;types=send_receipt" in listed.text
    counted = client.get("/cancel?states=waiting&types=send_receipt&text=a+b")
    assert faults(counted.text) == []
    assert "2 866 jobs would be cancelled" in PageParts(counted.text).text
    form = form_to(counted.text, "/acts/jobs/cancel-many")
    begun = client.post("/acts/jobs/cancel-many", data={**form, "why": "a wrong batch"})

    assert begun.headers["location"] == "/operations/0199-op"
    (_, by, meant, lasts) = asked(desk, "cancel_jobs")
    assert (by.why, meant.everything, lasts) == ("a wrong batch", False, None)
    assert (meant.wanted.states, meant.wanted.types, meant.wanted.text) == (
        ("waiting",), ("send_receipt",), "a b",
    )  # fmt: skip


def test_more_jobs_than_were_counted_are_left_alone(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    client = signed_in(TokenRole.ADMIN)
    form = form_to(client.get("/cancel").text, "/acts/jobs/cancel-many")
    more = replace(bad_minute.ANSWERS["would_cancel"], count=2_867)
    desk.answers = {**desk.answers, "would_cancel": more}

    client.post("/acts/jobs/cancel-many", data=form)

    assert form["everything"] == "true"
    assert "cancel_jobs" not in [name for name, _ in desk.asked]
    assert "2867 jobs match by now" in PageParts(client.get("/jobs").text).text


def test_cancelling_many_is_for_admins(signed_in: Callable[[TokenRole], TestClient]) -> None:
    client = signed_in(TokenRole.OPERATE)

    assert "/cancel?" not in client.get("/jobs?type=send_receipt").text
    assert client.get("/cancel?types=send_receipt").status_code == 403


def test_job_page_says_why_the_job_stands_so_until_it_has_ended(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    client = signed_in(TokenRole.READ)
    ended = client.get(f"/jobs/{JOB_ID}").text
    desk.answers = {
        **desk.answers, "job": replace(bad_minute.JOB, has_ended=False, state="waiting")
    }  # fmt: skip

    waits = client.get(f"/jobs/{JOB_ID}").text

    assert "Why it stands so: job" in PageParts(waits).text
    assert bad_minute.WHY in PageParts(waits).text
    assert "Why it stands so" not in ended


def test_limit_gets_other_numbers_of_its_kind_by_a_form(
    signed_in: Callable[[TokenRole], TestClient],
) -> None:
    client = signed_in(TokenRole.OPERATE)
    sent = {
        fields["name"]: set(fields)
        for form, fields in forms(client.get("/limits").text)
        if form.attributes.get("action") == "/acts/limits/set"
    }

    assert "concurrency" in sent["charge_card/concurrency"]
    assert {"rate", "burst"} < sent["send_receipt/rate"]
    assert "concurrency" not in sent["send_receipt/rate"]


def test_discarding_many_is_for_admins(
    signed_in: Callable[[TokenRole], TestClient],
) -> None:
    client = signed_in(TokenRole.OPERATE)

    assert "way=discard" not in client.get("/dead-letters").text
    assert client.get("/dead-letters/close?way=discard").status_code == 403


def test_caller_of_the_loopback_has_a_session_for_its_forms(tmp_path: Path) -> None:
    desk = PreparedDesk(tmp_path, {**bad_minute.ANSWERS, **DONE}, open_to_loopback=True)
    client = TestClient(
        prepared(desk), base_url="http://localhost", client=("127.0.0.1", 4711),
        follow_redirects=False,
    )  # fmt: skip

    assert client.post("/acts/queues/pause", data={"queue": "mail"}).status_code == 403
    form = form_to(client.get("/queues/mail").text, "/acts/queues/pause")
    assert client.post("/acts/queues/pause", data=form).status_code == 303
    assert asked(desk, "pause_queue")[1] == "mail"


def test_every_act_has_its_words() -> None:
    assert len(CALLS) == len(SAID)
