"""A broker that is away, a reader that does not read, too many who wait: bounded, and said."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.keyed_calls import scope_of
from tests.harness.waiting import wait_until
from tests.harness.web_calls import LOCAL, WebSide, shop

from jobstream.acting.act_record import ActedBy
from jobstream.acting.operations import FAILURES_MAX, RUNNING_MAX, Operations
from jobstream.answers.errors import SourceAway, TooBusy
from jobstream.answers.kept import AnswerCache
from jobstream.errors import BrokerUnavailable
from jobstream.kafka.client import admin_calls
from jobstream.web.api_route import V1
from jobstream.web.change_feed import BUFFER_MAX, ChangeEvent, Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

LIMIT_S = 60.0
AWAY = "no broker answers"
BY = ActedBy("ann", "10.0.0.9", "mended")


def test_a_client_that_leaves_within_its_body_is_no_fault_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    web, sent = WebSide(tmp_path), []
    came = [
        {"type": "http.request", "body": b'{"args": ', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:  # noqa: ANN401 - of ASGI
        return came.pop(0)

    async def send(message: Any) -> None:  # noqa: ANN401 - as above
        sent.append(message)

    async def leave() -> None:
        await web.asgi(scope, receive, send)

    headers = ((b"host", b"localhost"), (b"content-type", b"application/json"))
    scope = {**scope_of(f"{V1}/types/send/jobs", headers=headers), "client": LOCAL}
    asyncio.run(leave())

    assert sent[0]["status"] == 400
    assert b"body-cut-off" in sent[1]["body"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_without_a_broker_every_read_is_a_503_that_says_when_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten seconds by default, of the fifteen after which nobody has answered yet.
    monkeypatch.setattr(admin_calls, "WAIT_S", 0.5)
    app = shop(bootstrap_servers="127.0.0.1:1", state_dir=tmp_path, enqueue_timeout="500ms")
    web = WebSide(tmp_path, app)

    async def work(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        paths = ("overview", "queues", "queues/mail", "types", "limits", "workers", "audit")
        first = await client.get(f"{V1}/queues", timeout=LIMIT_S)
        rest = [await client.get(f"{V1}/{path}", timeout=LIMIT_S) for path in paths]
        ready = await client.get("/readyz", timeout=LIMIT_S)
        body = {"args": {"to": "a@b"}}
        sent = await client.post(f"{V1}/types/send/jobs", json=body, timeout=LIMIT_S)
        return [first, *rest, ready, sent]

    answers = web.all(work)
    web.desk.close()
    app.close()

    assert {answer.status_code for answer in answers} == {503}
    for answer in answers[:-2]:
        assert answer.json()["type"] == "urn:jobstream:problem:broker-away"
        assert int(answer.headers["retry-after"]) >= 1
        assert "127.0.0.1:1" in answer.json()["detail"]
    assert answers[-1].json()["may_be_written"] is False


def test_what_was_read_is_given_while_its_source_is_away_and_says_so() -> None:
    now = [0.0]
    cache = AnswerCache(monotonic=lambda: now[0])

    def away() -> str:
        raise BrokerUnavailable(AWAY)

    with pytest.raises(SourceAway, match=AWAY):
        cache.get("a", away)
    assert cache.get("a", lambda: "first").stale == ""
    assert cache.get("a", away).value == "first", "it is fresh, and is not read"
    now[0] = 60.0
    held = cache.get("a", away)
    assert (held.value, held.age_s, held.stale) == ("first", 60.0, AWAY)
    now[0] = 3_600.0
    with pytest.raises(SourceAway):
        cache.get("a", away)


def test_who_asks_while_another_reads_gets_what_there_is() -> None:
    now = [0.0]
    cache = AnswerCache(monotonic=lambda: now[0])
    cache.get("a", lambda: "old")
    now[0] = 30.0
    reading, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        reading.set()
        go_on.wait(LIMIT_S)
        return "new"

    thread = threading.Thread(target=lambda: cache.get("a", slow))
    thread.start()
    reading.wait(LIMIT_S)

    held = cache.get("a", lambda: "never")

    assert held.value == "old"
    assert held.stale
    go_on.set()
    thread.join(LIMIT_S)
    assert cache.get("a", lambda: "never").value == "new"


def test_a_subscriber_that_does_not_read_is_cut_and_holds_nothing() -> None:
    async def work() -> tuple[bool, list[ChangeEvent]]:
        one = Subscriber(lambda _: True)
        for number in range(BUFFER_MAX + 1):
            one.put(ChangeEvent("queue", number, "mail"))
        return one.is_cut, await one.take(1.0)

    is_cut, left = asyncio.run(work())

    assert is_cut
    assert not left


def test_a_stream_whose_reader_stalls_ends_and_gives_its_place_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobstream.web.event_stream.SEND_S_MAX", 0.05)
    web = WebSide(tmp_path, shop(bootstrap_servers="127.0.0.1:1", state_dir=tmp_path))

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def work(_: object) -> int:
        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()  # Its buffers are full, and it reads no more.

        scope = {
            "type": "http", "method": "GET", "path": f"{V1}/events", "query_string": b"",
            "headers": [(b"host", b"localhost")], "client": LOCAL, "http_version": "1.1",
            "scheme": "http", "server": ("localhost", 80), "root_path": "", "asgi": {},
        }  # fmt: skip
        await asyncio.wait_for(web.asgi(scope, never, send), LIMIT_S)  # type: ignore[arg-type] # messages are dicts
        return len(web.desk.feed)

    assert web.all(work) == 0
    web.desk.close()


def test_an_operation_counts_names_failures_and_can_be_stopped() -> None:
    operations, go_on = Operations(), threading.Event()

    def steps() -> Iterator[tuple[str, str]]:
        for number in range(100):
            yield "failed", f"job {number}"
            if number == 49:
                go_on.wait(LIMIT_S)

    begun = operations.begin("redrive", 100, BY, steps)
    found = operations.get(begun.id)
    wait_until(lambda: found.now().done == 50, "it is half-way", limit_s=LIMIT_S)
    found.stop()
    go_on.set()
    wait_until(lambda: not found.is_running, "it has stopped", limit_s=LIMIT_S)

    now = found.now()
    assert (now.state, now.who, now.why) == ("stopped", "ann@10.0.0.9", "mended")
    assert now.done < 100
    assert len(now.failures) == FAILURES_MAX


def test_an_operation_that_fails_says_why() -> None:
    operations = Operations()

    def steps() -> Iterator[tuple[str, str]]:
        yield "redriven", ""
        raise BrokerUnavailable(AWAY)

    found = operations.get(operations.begin("redrive", 2, BY, steps).id)
    wait_until(lambda: not found.is_running, "it has failed", limit_s=LIMIT_S)

    assert (found.now().state, found.now().error, found.now().done) == ("failed", AWAY, 1)


def test_no_more_operations_go_on_than_may() -> None:
    operations, go_on = Operations(), threading.Event()

    def steps() -> Iterator[tuple[str, str]]:
        go_on.wait(LIMIT_S)
        yield "redriven", ""

    for _ in range(RUNNING_MAX):
        operations.begin("redrive", 1, BY, steps)
    try:
        with pytest.raises(TooBusy):
            operations.begin("redrive", 1, BY, steps)
    finally:
        go_on.set()
    with suppress(TooBusy):
        wait_until(
            lambda: all(each.ended_at for each in operations.list()), "they end", limit_s=LIMIT_S
        )


def test_each_act_leaves_a_line_with_who_why_and_from_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobstream.audit")
    app = shop(bootstrap_servers="127.0.0.1:1", state_dir=tmp_path, enqueue_timeout="500ms")
    web = WebSide(tmp_path, app)

    answer = web.ask(
        "POST",
        f"{V1}/queues/mail/pause",
        json={"why": "the provider is down"},
        headers={"X-Request-ID": "r-7"},
        timeout=LIMIT_S,
    )
    web.desk.close()
    app.close()

    assert answer.status_code == 503
    (line,) = [vars(record) for record in caplog.records if record.name == "jobstream.audit"]
    assert (line["act"], line["subject"], line["outcome"]) == ("pause_queue", "mail", "failed")
    assert (line["who"], line["from"], line["why"]) == (
        "local",
        "127.0.0.1",
        "the provider is down",
    )
    assert line["correlation_id"] == "r-7"
