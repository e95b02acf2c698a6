"""Dead letters by cause on the pages: trial, forced redrive, correction in a form, export."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from tests.harness import bad_minute
from tests.harness.bad_minute import CAUSE, JOB_ID, PreparedDesk, prepared
from tests.harness.page_parts import PageParts, faults
from tests.unit.web.test_page_acts import asked, form_to

from jobstream.operate.errors import CannotFix, TrialFailed
from jobstream.operate.fix import Fixed
from jobstream.operate.trial import Trial
from jobstream.web.callers import TokenRole
from jobstream.web.pages.letter_notices import notice_of
from jobstream.web.pages.words import percent_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobstream.operate.trial import Outcome

TRIED = Trial(CAUSE, JOB_ID, "mail", 1, "done", "after 1 attempts", waited_s=1.2)
ONE = f"/dead-letters?fingerprint={CAUSE}"
FIX = f"/dead-letters/fix?id={JOB_ID}"


@pytest.fixture
def desk(tmp_path: Path) -> PreparedDesk:
    return PreparedDesk(tmp_path, dict(bad_minute.ANSWERS))


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


def test_causes_are_listed_with_counts_times_releases_and_how_the_last_redrive_went(
    signed_in: Callable[[TokenRole], TestClient],
) -> None:
    page = signed_in(TokenRole.READ).get("/dead-letters")

    text = PageParts(page.text).text
    assert faults(page.text) == []
    assert "mx*.example.com:25 did not answer in * s" in text
    assert "1.8.2 91%" in text
    assert "unnamed 1%" in text
    assert text.count("the last redrive failed") == 1
    assert f"?fingerprint={CAUSE}" in page.text


def test_one_of_a_cause_is_tried_and_its_end_is_told(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    desk.answers = {**desk.answers, "try_cause": TRIED}
    client = signed_in(TokenRole.OPERATE)
    page = client.get(ONE)
    assert faults(page.text) == []
    form = form_to(page.text, "/acts/dead-letters/try")

    answer = client.post(
        "/acts/dead-letters/try", data={**form, "timeout": "10s", "why": "mended in 1.8.3"}
    )

    assert answer.headers["location"] == ONE
    by, fingerprint, timeout, queue = asked(desk, "try_cause")
    assert (by.why, fingerprint, timeout, queue) == ("mended in 1.8.3", CAUSE, "10s", None)
    said = client.get(ONE).text
    assert 'role="status"' in said
    assert f"Job {JOB_ID} is done after 1 attempts" in PageParts(said).text


@pytest.mark.parametrize(
    ("outcome", "same", "words"),
    [
        ("dead", True, "died again of the same cause"),
        ("dead", False, "of another cause"),
        ("ended", False, "not by being done"),
        ("retrying", False, "did not end within 1 s"),
        ("waiting", False, "no worker settled it"),
        ("failed", False, "Its letter is open"),
    ],
)
def test_each_outcome_of_a_trial_has_its_words(outcome: Outcome, same: bool, words: str) -> None:  # noqa: FBT001
    notice = notice_of(replace(TRIED, outcome=outcome, same_cause=same))

    assert notice is not None
    assert words in notice.text
    assert notice.is_wrong is (outcome != "retrying")


def test_redrive_of_a_cause_whose_trial_failed_is_refused_unless_forced(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    client = signed_in(TokenRole.OPERATE)
    counted = client.get(f"/dead-letters/close?way=redrive&fingerprints={CAUSE}")
    form = form_to(counted.text, "/acts/dead-letters/redrive")
    assert "The last redrive of this cause failed" in PageParts(counted.text).text
    assert form.pop("force") == "true"
    given: list[Any] = []

    failure = TrialFailed("the last redrive of cause x failed")

    def refused(*_: object) -> None:
        given.append("asked")
        raise failure

    desk.answers = {**desk.answers, "<lambda>": refused}
    client.post("/acts/dead-letters/redrive", data=form)

    assert given == ["asked"]
    assert "Not done: the last redrive" in PageParts(client.get("/dead-letters").text).text


def test_warning_is_for_causes_whose_trial_failed_alone(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    sound = replace(bad_minute.ANSWERS["would_close"], failed_trials=())
    desk.answers = {**desk.answers, "would_close": sound}

    page = signed_in(TokenRole.OPERATE).get(f"/dead-letters/close?way=redrive&fingerprints={CAUSE}")

    assert 'name="force"' not in page.text


def test_dead_job_is_corrected_by_a_form_of_its_schema(
    desk: PreparedDesk, signed_in: Callable[[TokenRole], TestClient]
) -> None:
    desk.answers = {**desk.answers, "fix_letter": Fixed("new-id", JOB_ID, "")}
    client = signed_in(TokenRole.OPERATE)
    page = client.get(FIX)
    assert faults(page.text) == []
    assert "4111" not in page.text
    form = form_to(page.text, "/acts/dead-letters/fix")
    assert form["arg.to"] == "grace@example.con"
    form.pop("none.note")

    sent = {**form, "arg.to": "grace@example.com", "arg.note": "by hand", "arg.colour": "BLUE",
            "arg.is_test": "false", "arg.lines": '["tea"]',
            "arg.body": "Dear Grace,\r\nthank you.\r\n", "why": "a slip of the pen"}  # fmt: skip
    answer = client.post("/acts/dead-letters/fix", data=sent)

    by, job_id, changes, queue = asked(desk, "fix_letter")
    assert (by.why, job_id, queue) == (
        "a slip of the pen",
        bad_minute.LETTERS.letters[0].id,
        "mail",
    )
    assert changes == {
        "to": "grace@example.com", "note": "by hand", "colour": "BLUE", "lines": ["tea"],
    }  # fmt: skip
    assert answer.headers["location"] == "/jobs/new-id"
    assert "takes the place of" in PageParts(client.get("/jobs/new-id").text).text


@pytest.mark.parametrize(
    ("sent", "error", "words"),
    [
        ({"arg.lines": "[tea]"}, None, "field lines: it is no JSON"),
        ({"arg.to": "x"}, CannotFix("send_receipt: to: no address"), "to: no address"),
    ],
)
def test_refused_correction_keeps_what_was_typed(
    desk: PreparedDesk,
    signed_in: Callable[[TokenRole], TestClient],
    sent: dict[str, str],
    error: Exception | None,
    words: str,
) -> None:
    desk.answers = {**desk.answers, "fix_letter": error or Fixed("n", "o", "")}
    client = signed_in(TokenRole.OPERATE)
    form = form_to(client.get(FIX).text, "/acts/dead-letters/fix")

    answer = client.post("/acts/dead-letters/fix", data={**form, **sent, "why": "half done"})

    assert answer.status_code == 422
    assert faults(answer.text) == []
    assert words in PageParts(answer.text).text
    again = form_to(answer.text, "/acts/dead-letters/fix")
    assert again["why"] == "half done"
    assert again["_form"] == form["_form"]
    assert sent.get("arg.to", "grace@example.con") == again["arg.to"]


@pytest.mark.parametrize(("role", "is_there"), [("operate", False), ("admin", True)])
def test_letters_are_exported_by_admins_from_their_page(
    signed_in: Callable[[TokenRole], TestClient],
    role: str,
    is_there: bool,  # noqa: FBT001
) -> None:
    page = signed_in(TokenRole(role)).get(ONE).text

    assert (f"/dead-letters/export?fingerprint={CAUSE}" in page) is is_there


def test_a_share_that_is_there_reads_neither_as_none_nor_as_all() -> None:
    assert [percent_of(each) for each in (0.0, 0.001, 0.5, 0.999, 1.0)] == [
        "0%", "under 1%", "50%", "over 99%", "100%",
    ]  # fmt: skip
