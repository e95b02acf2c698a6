"""The HTTP API on a real broker, with a worker that runs what is enqueued through it."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until
from tests.harness.web_calls import Letter, WebSide

from jobstream import App, Backoff, Dead
from jobstream.answers.app_site import Site
from jobstream.web.api_route import V1

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx2

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
LIMIT_S = 120.0
NO_USE = "nothing will help"
TYPE = f"{V1}/types/send/jobs"


class Running:
    """The app with its worker, and its HTTP side on one event loop of its own."""

    def __init__(self, web: WebSide, served: Served) -> None:
        self.web, self.served = web, served
        self._loop = asyncio.Runner()
        self._client = web.client()

    def ask(self, method: str, path: str, **given: Any) -> httpx2.Response:  # noqa: ANN401 - the client's
        """One request."""
        return self._loop.run(self._client.request(method, path, timeout=LIMIT_S, **given))

    def run(self, work: Callable[[httpx2.AsyncClient], Any]) -> Any:  # noqa: ANN401 - what it returns
        """A coroutine that calls it many times."""
        return self._loop.run(work(self._client))

    def page(self, path: str) -> httpx2.Response:
        """A page, whose session does not stay: calls of the API act without one."""
        answer = self.ask("GET", path)
        self._client.cookies.clear()
        return answer

    def enqueued(self, **args: object) -> str:
        """The id of a job with these args."""
        answer = self.ask("POST", TYPE, json={"args": args})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def ended(self, job_id: str, letters: int = 0) -> dict[str, Any]:
        """The job at its end, once it has so many letters; each request waits for a minute."""

        def told() -> dict[str, Any] | None:
            answer = self.ask("GET", f"{V1}/jobs/{job_id}?wait=60s")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            of_letters = [step for step in found["steps"] if step["what"] == "dead letter"]
            return found if found["has_ended"] and len(of_letters) >= letters else None

        return wait_until(told, f"{job_id} has ended", limit_s=LIMIT_S) or {}

    def close(self) -> None:
        """Let go of everything."""
        self._loop.run(self._client.aclose())
        self.web.desk.stop()
        self._loop.close()
        self.web.desk.close()


@pytest.fixture(scope="module")
def running(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("http")
    app = App(
        f"http-{uuid.uuid4().hex[:8]}",
        size="small",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=folder,
        drain="5s",
        enqueue_timeout="60s",
    )
    mail = app.queue("mail", partitions=2)

    @app.job(queue=mail, retry=Backoff(attempts=1))
    async def send(args: Letter) -> None:
        if args.to == "nobody":
            raise Dead(NO_USE)

    with Served(app) as served:
        made = Running(WebSide(folder, app), served)
        yield made
        made.close()


def test_a_job_is_enqueued_run_and_its_end_waited_for(running: Running) -> None:
    answer = running.ask(
        "POST", TYPE, json={"args": {"to": "a@b"}}, headers={"X-Request-ID": "request-7"}
    )
    job_id = answer.json()["job_id"]

    found = running.ended(job_id)

    assert answer.headers["location"] == f"{V1}/jobs/{job_id}"
    assert (found["state"], found["has_ended"], found["args"]["to"]) == ("done", True, "a@b")
    assert [step["what"] for step in found["steps"]] == ["queued", "row"]
    assert answer.headers["x-request-id"] == "request-7"


def test_the_same_idempotency_key_is_the_same_job(running: Running) -> None:
    key = uuid.uuid4().hex
    given = {"json": {"args": {"to": "a@b"}}, "headers": {"Idempotency-Key": key}}

    ids = {running.ask("POST", TYPE, **given).json()["job_id"] for _ in range(3)}

    assert len(ids) == 1


def test_many_jobs_are_enqueued_in_one_request(running: Running) -> None:
    jobs = [{"args": {"to": f"{n}@b"}} for n in range(50)]

    answer = running.ask("POST", f"{TYPE}/many", json={"jobs": jobs})

    assert answer.status_code == 202
    assert len(set(answer.json()["job_ids"])) == 50


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"args": {"too": "a"}}, "did you mean to?"),
        ({"args": {"to": 1}}, "Letter.to"),
        ({"args": {"to": "a"}, "delay": "soon"}, "delay"),
        ({"args": {"to": "a"}, "colour": "red"}, "colour"),
        ({"args": {"to": "a"}, "unique": True}, "unique"),
        ([], "object"),
    ],
)
def test_a_wrong_enqueue_names_value_and_fix(running: Running, body: object, told: str) -> None:
    answer = running.ask("POST", TYPE, json=body)

    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_a_dead_job_is_listed_counted_and_redriven_by_an_operation(running: Running) -> None:
    job_id = running.enqueued(to="nobody")
    assert running.ended(job_id)["state"] == "dead"
    wanted = {"ids": [job_id], "why": "it is mended"}
    path = f"{V1}/dead-letters/redrive"

    listed = running.ask("GET", f"{V1}/dead-letters?id={job_id}").json()
    groups = running.ask("GET", f"{V1}/dead-letters/groups?queue=mail").json()["groups"]
    count = running.ask("POST", path, json={**wanted, "dry_run": True}).json()
    begun = running.ask("POST", path, json={**wanted, "expected": 1})

    assert listed["letters"][0]["reason"] == "dead_by_handler"
    assert [(each["type"], each["sample"]) for each in groups] == [("send", job_id)]
    assert count["count"] == 1
    assert begun.status_code == 202
    ended = wait_until(
        lambda: (
            running.ask("GET", begun.headers["location"]).json()["ended_at"]
            and running.ask("GET", begun.headers["location"]).json()
        ),
        "the operation ends",
        limit_s=LIMIT_S,
    )
    assert (ended["state"], ended["outcomes"], ended["why"]) == (
        "done",
        {"redriven": 1},
        "it is mended",
    )
    running.ended(job_id, letters=2)  # else its newest letter may come after those of other tests


def test_a_cause_is_tried_refused_while_it_fails_and_mended_by_a_fix(running: Running) -> None:
    job_id = running.enqueued(to="nobody")
    running.ended(job_id)
    path = f"{V1}/dead-letters"
    (group,) = running.ask("GET", f"{path}/groups").json()["groups"]
    cause = group["fingerprint"]

    tried = running.ask("POST", f"{path}/try", json={"fingerprint": cause, "timeout": "60s"})
    rest = running.ask("POST", f"{path}/redrive", json={"fingerprints": [cause]})
    (after,) = running.ask("GET", f"{path}/groups").json()["groups"]
    exported = running.ask("GET", f"{path}/export?fingerprint={cause}")
    none = running.ask("GET", f"{path}/export?fingerprint=0000000000000000")
    form = running.page(f"/dead-letters/fix?id={job_id}")
    wrong = running.ask("POST", f"{path}/fix", json={"id": job_id, "changes": {"to": 7}})
    fixed = running.ask("POST", f"{path}/fix", json={"id": job_id, "changes": {"to": "a@b"}})

    assert (tried.json()["outcome"], tried.json()["same_cause"]) == ("dead", True)
    assert after["failed_trial"]["job_id"] == job_id
    assert group["shares"] == {"": 1.0}
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert {line["fingerprint"] for line in lines} == {cause}
    assert [line["redrive"] for line in lines if line["id"] == job_id] == [1]
    assert (exported.headers["content-type"], none.text) == ("application/x-ndjson", "")
    assert 'name="arg.to" value="nobody"' in form.text
    assert rest.status_code == 409
    assert "force" in rest.json()["detail"]
    assert wrong.status_code == 409
    assert fixed.json()["fixes"] == job_id
    assert running.ended(fixed.json()["job_id"])["state"] == "done"


def test_a_bulk_act_is_not_done_where_more_match_than_was_counted(running: Running) -> None:
    job_id = running.enqueued(to="nobody")
    running.ended(job_id)

    answer = running.ask(
        "POST", f"{V1}/dead-letters/discard", json={"ids": [job_id], "why": "x", "expected": 0}
    )

    assert answer.status_code == 409
    assert answer.json()["count"] == 1


def test_all_delayed_jobs_that_match_are_explained_and_cancelled_by_an_operation(
    running: Running,
) -> None:
    path = f"{V1}/queues/mail"
    running.ask("POST", f"{path}/pause", json={"why": "a wrong batch", "lasts": "10m"})
    try:
        body = [{"args": {"to": f"wrong-{n}"}, "delay": "1h"} for n in range(3)]
        ids = [running.ask("POST", TYPE, json=each).json()["job_id"] for each in body]
        why = running.ask("GET", f"{V1}/jobs/{ids[0]}/why").json()
        meant = {"types": ["send"], "states": ["delayed"]}
        dry = {**meant, "dry_run": True}
        counted = running.ask("POST", f"{V1}/jobs/cancel-many", json=dry).json()
        few = running.ask("POST", f"{V1}/jobs/cancel-many", json={**meant, "expected": 2})
        begun = running.ask(
            "POST", f"{V1}/jobs/cancel-many", json={**meant, "expected": 3, "why": "wrong"}
        )
        done = wait_until(
            lambda: (
                running.ask("GET", begun.headers["location"]).json()["ended_at"]
                and running.ask("GET", begun.headers["location"]).json()
            ),
            "the operation ends",
            limit_s=LIMIT_S,
        )
    finally:
        running.ask("POST", f"{path}/resume", json={})

    assert "waits on rung 1h until" in why["sentence"]
    assert "queue mail is paused until" in why["sentence"]
    assert "a wrong batch" in why["sentence"]
    assert [each["kind"] for each in why["orders"]] == ["pause_queue"]
    assert counted["count"] == 3
    assert {each["id"] for each in counted["jobs"]} == set(ids)
    assert few.status_code == 409
    assert (done["state"], done["outcomes"]) == ("done", {"ordered": 3})
    for each in ids:
        orders = running.ask("GET", f"{V1}/jobs/{each}").json()["orders"]
        assert {(order["kind"], order["why"]) for order in orders} == {("cancel", "wrong")}


def test_a_pause_is_in_the_audit_with_who_and_why_and_shown_where_it_holds(
    running: Running,
) -> None:
    path = f"{V1}/queues/mail"
    said = {"why": "the provider is down", "lasts": "10m"}

    paused = running.ask("POST", f"{path}/pause", json=said)
    try:
        wait_until(
            lambda: (
                (running.ask("GET", path).json()["queue"]["paused"] or {}).get("why") == said["why"]
            ),
            "this pause is shown, and not one of a test before",
            limit_s=LIMIT_S,
        )
        acts = running.ask("GET", f"{V1}/audit").json()["acts"]
    finally:
        resumed = running.ask("POST", f"{path}/resume")

    assert (paused.status_code, resumed.status_code) == (200, 204)
    assert paused.json()["who"] == "local@127.0.0.1"
    assert ("pause_queue", "the provider is down") in {(a["what"], a["why"]) for a in acts}


def test_a_drain_is_in_the_audit_and_one_of_all_workers_is_refused(running: Running) -> None:
    path, why = f"{V1}/workers/drain", "its memory grows"

    drained = running.ask("POST", path, json={"worker": "no-such-host:1", "why": why})
    refused = running.ask("POST", path, json={"worker": "*", "why": why})
    unknown = running.ask("POST", path, json={"worker": "no-such-host", "why": why})

    assert (drained.status_code, refused.status_code, unknown.status_code) == (200, 422, 422)
    assert "it would stop all work at once" in refused.json()["detail"]
    entry = drained.json()
    assert (entry["kind"], entry["subject"], entry["why"]) == ("drain", "no-such-host:1", why)
    wait_until(
        lambda: (
            ("drain", why)
            in {(a["what"], a["why"]) for a in running.ask("GET", f"{V1}/audit").json()["acts"]}
        ),
        "the audit has it",
        limit_s=LIMIT_S,
    )


def test_every_read_answers_with_its_age_and_source(running: Running) -> None:
    for path in ("overview", "queues", "queues/mail", "jobs", "dead-letters", "types", "schedules",
                 "limits", "workers", "audit", "health"):  # fmt: skip
        answer = running.ask("GET", f"{V1}/{path}")
        assert answer.status_code == 200, (path, answer.text)
        assert answer.json()["as_of"]["source"] == "log"
        assert int(answer.headers["age"]) < LIMIT_S


def test_jobs_are_listed_a_page_at_a_time(running: Running) -> None:
    for n in range(3):
        running.ended(running.enqueued(to=f"page-{n}"))
    seen: list[str] = []
    after = ""
    while True:
        page = running.ask("GET", f"{V1}/jobs?state=done&limit=2&after={after}").json()
        seen += [job["id"] for job in page["jobs"]]
        after = page["after"]
        if not after:
            break

    assert len(seen) == len(set(seen)) >= 3


def test_what_is_not_there_is_a_404_that_says_what_is(running: Running) -> None:
    for path, told in (
        ("queues/male", "it has: mail"),
        ("jobs/01a2295b-10b4-77cb-9fe0-e162b77be167", "no trace"),
        ("jobs?queue=male", "it has: mail"),
        ("jobs?type=sent", "it has: send"),
    ):
        answer = running.ask("GET", f"{V1}/{path}")
        assert answer.status_code == 404, path
        assert told in answer.json()["detail"]


def test_a_stream_tells_ends_of_jobs_and_stops_with_its_reader(running: Running) -> None:
    async def work(_: httpx2.AsyncClient) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        reading, ended = asyncio.Event(), asyncio.Event()
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            reading.set()
            for event in message.get("body", b"").decode().split("\n\n"):
                if event.startswith("event: job"):
                    told.append(json.loads(event.partition("data: ")[2]))
                    ended.set()

        scope = {
            "type": "http", "method": "GET", "path": f"{V1}/events", "query_string": b"jobs=true",
            "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "http_version": "1.1",
            "scheme": "http", "server": ("localhost", 80), "root_path": "", "asgi": {},
        }  # fmt: skip
        stream = asyncio.ensure_future(running.web.asgi(scope, receive, send))  # type: ignore[arg-type] # messages are dicts
        await asyncio.wait_for(reading.wait(), LIMIT_S)
        async with running.web.client() as client:
            await client.post(TYPE, json={"args": {"to": "s@b"}}, timeout=LIMIT_S)
        await asyncio.wait_for(stream, LIMIT_S)
        return told

    (found,) = running.run(work)[:1]

    assert (found["type"], found["state"], found["queue"]) == ("send", "done", "mail")
    assert not len(running.web.desk.feed)


def test_an_app_is_looked_at_by_its_name_alone(running: Running, tmp_path: Path) -> None:
    settings = running.web.site.settings
    web = WebSide(tmp_path, site=Site.named(running.web.site.name, settings))
    try:
        assert web.ask("GET", f"{V1}/queues").json()["queues"][0]["name"] == "mail"
        refused = web.ask("POST", TYPE, json={"args": {"to": "a"}})
        assert (refused.status_code, refused.json()["type"]) == (
            409,
            "urn:jobstream:problem:no-code",
        )
    finally:
        web.desk.close()
