"""The header Idempotency-Key of calls that enqueue: it is the key of one job, or it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.web_calls import WebSide, shop

from jobstream.testing import MemoryJobs, memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from jobstream import App

ONE, MANY = "/api/v1/types/send/jobs", "/api/v1/types/send/jobs/many"
LETTER = {"args": {"to": "a@b"}}


@pytest.fixture
def app() -> App:
    return shop()


@pytest.fixture
def jobs(app: App) -> Iterator[MemoryJobs]:
    with memory(app) as bound:
        yield bound


@pytest.fixture
def web(app: App, jobs: MemoryJobs, tmp_path: Path) -> WebSide:
    assert jobs.seen() == []
    return WebSide(tmp_path, app)


def told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]


def test_a_request_with_a_key_may_be_repeated(web: WebSide) -> None:
    given: dict[str, Any] = {"json": LETTER, "headers": {"Idempotency-Key": "o-1"}}

    first, again = (web.ask("POST", ONE, **given) for _ in range(2))

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["job_id"] == again.json()["job_id"]


def test_of_two_keys_none_is_taken(web: WebSide, jobs: MemoryJobs) -> None:
    two = [("Idempotency-Key", "o-1"), ("Idempotency-Key", "o-2")]

    answer = web.ask("POST", ONE, json=LETTER, headers=two)

    assert told(answer) == (422, "Idempotency-Key is there 2 times: send it once")
    assert jobs.seen() == []


def test_many_jobs_have_keys_of_their_own(web: WebSide, jobs: MemoryJobs) -> None:
    """A client that sends one key for all believes that it may repeat the request."""
    answer = web.ask("POST", MANY, json={"jobs": [LETTER]}, headers={"Idempotency-Key": "o-1"})

    assert answer.status_code == 422
    assert "give each of body.jobs an idempotency_key" in answer.json()["detail"]
    assert jobs.seen() == []
    keyed = {"jobs": [{**LETTER, "idempotency_key": "o-1"}]}
    first, again = (web.ask("POST", MANY, json=keyed) for _ in range(2))
    assert first.json()["job_ids"] == again.json()["job_ids"]


@pytest.mark.parametrize("name", ["key", "idempotency_key"])
def test_a_key_that_can_not_be_one_is_refused_before_any_job_is_written(
    web: WebSide, jobs: MemoryJobs, name: str
) -> None:
    """A client that mends the one and repeats the request would have the others twice."""
    given = [{**LETTER, name: "a"}, {**LETTER, name: ""}]

    answer = web.ask("POST", MANY, json={"jobs": given})

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"body.jobs[1]: {name}='' is refused")
    assert jobs.seen() == []
