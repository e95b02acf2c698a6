"""The ASGI middleware, message by message, on a store in memory whose clock stands still."""

from __future__ import annotations

import asyncio
import json
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.keyed_calls import FailingKeyStore, HangingKeyStore, ask, scope_of
from tests.harness.waiting import wait_until

from jobstream.errors import ConfigError
from jobstream.idempotency import MemoryKeyStore
from jobstream.web import IdempotencyMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.keyed_calls import Answered

pytestmark = pytest.mark.anyio
BODY: dict[str, Any] = {"type": "http.response.body"}


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000.0

    def __call__(self) -> float:
        return self.ms


class Handler:
    """An ASGI application that counts its runs and answers as told."""

    def __init__(
        self,
        status: int = 201,
        *messages: dict[str, Any],
        headers: list[tuple[bytes, bytes]] | None = None,
        fails: BaseException | None = None,
    ) -> None:
        self.runs: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.status, self.messages, self.headers, self.fails = status, messages, headers, fails
        self.gate: asyncio.Event | None = None
        self.began = asyncio.Event()
        self.after: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        self.runs.append(scope)
        self.began.set()
        if scope["type"] != "http":
            return
        self.bodies.append((await receive())["body"])
        if self.gate is not None:
            await self.gate.wait()
        number = str(len(self.runs)).encode()
        headers = [(b"content-length", b"%d" % len(number))]
        start = headers if self.headers is None else self.headers
        await send({"type": "http.response.start", "status": self.status, "headers": start})
        for message in self.messages or ({**BODY, "body": number},):
            await send(dict(message))
        self.after()
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryKeyStore:
    return MemoryKeyStore(now_ms=clock)


def problem(answer: Answered) -> tuple[int, str]:
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("content-length") == str(len(answer.body))
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    assert document["detail"]
    return answer.status, document["type"].rpartition(":")[2]


def counted(web: IdempotencyMiddleware) -> dict[str, float]:
    (family,) = web.metrics().collect()
    return {each.labels["outcome"]: each.value for each in family.samples}


async def test_a_repeat_gets_the_same_answer_and_runs_nothing(store: MemoryKeyStore) -> None:
    handler = Handler(headers=[(b"Location", b"/orders/1"), (b"x-a", b"1"), (b"x-a", b"2")])
    web = IdempotencyMiddleware(handler, store)

    first, second = [await ask(web, "k", b'{"n":1}') for _ in range(2)]

    assert (first.status, first.body, first.header("idempotency-replayed")) == (201, b"1", None)
    assert (second.status, second.body) == (201, b"1")
    assert second.header("idempotency-replayed") == "true"
    assert second.header("location") == "/orders/1"
    assert [value for name, value in second.messages[0]["headers"] if name == b"x-a"] == [
        b"1",
        b"2",
    ]
    assert second.header("content-length") == "1"
    assert handler.bodies == [b'{"n":1}']


async def test_headers_of_one_connection_and_secrets_are_not_repeated(
    store: MemoryKeyStore,
) -> None:
    given = [
        (b"Set-Cookie", b"session=secret"),
        (b"Date", b"now"),
        (b"X-Request-ID", b"r"),
        (b"etag", b"e"),
    ]
    web = IdempotencyMiddleware(Handler(headers=given), store)

    first, second = [await ask(web, "k") for _ in range(2)]

    assert first.header("set-cookie") == "session=secret"
    names = {name for name, _ in second.messages[0]["headers"]}
    assert names == {b"etag", b"idempotency-replayed", b"content-length"}


@pytest.mark.parametrize("more", [
    {"body": b"other"}, {"path": "/other"}, {"query": b"a=1"}, {"method": "PATCH"},
])  # fmt: skip
async def test_another_request_with_the_key_is_refused(
    store: MemoryKeyStore, more: dict[str, Any]
) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    await ask(web, "k")

    assert problem(await ask(web, "k", **more)) == (422, "idempotency-key-reused")
    assert len(handler.runs) == 1


async def test_keys_are_per_caller(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    callers = [
        (), ((b"authorization", b"Bearer a"),), ((b"authorization", b"Bearer b"),),
        ((b"cookie", b"s=a"),), ((b"cookie", b"s=b"),),
    ]  # fmt: skip

    answers = [await ask(web, "k", headers=caller) for caller in [*callers, *callers]]

    assert [answer.body for answer in answers] == [b"1", b"2", b"3", b"4", b"5"] * 2


async def test_the_service_says_who_asks(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, caller=lambda scope: scope["path"][:2])

    for headers in ((), ((b"authorization", b"Bearer a"),)):
        assert (await ask(web, "k", headers=headers)).body == b"1"


async def test_a_caller_that_is_no_text_is_an_error_of_the_service(store: MemoryKeyStore) -> None:
    web = IdempotencyMiddleware(Handler(), store, caller=lambda _scope: None)  # type: ignore[arg-type, return-value]

    with pytest.raises(ConfigError, match=r"caller= returned None"):
        await ask(web, "k")


async def test_while_the_first_runs_others_are_told_to_come_back(store: MemoryKeyStore) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store)
    first = asyncio.create_task(ask(web, "k"))
    await handler.began.wait()

    second = await ask(web, "k")
    handler.gate.set()

    assert problem(second) == (409, "idempotency-key-in-use")
    assert second.header("retry-after") == "1"
    assert (await first).status == 201
    assert (await ask(web, "k")).header("idempotency-replayed") == "true"
    assert len(handler.runs) == 1


async def test_of_two_hundred_at_once_one_runs(store: MemoryKeyStore) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store)
    asked = [asyncio.create_task(ask(web, "k")) for _ in range(200)]
    for other in islice(asyncio.as_completed(asked), 199):
        await other
    handler.gate.set()

    answers = await asyncio.gather(*asked)

    assert sorted(answer.status for answer in answers) == [201] + [409] * 199
    assert len(handler.runs) == 1


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 409, 422])
async def test_outcomes_are_kept(store: MemoryKeyStore, status: int) -> None:
    handler = Handler(status, {**BODY, "body": b""})
    web = IdempotencyMiddleware(handler, store)

    assert [(await ask(web, "k")).status for _ in range(2)] == [status] * 2
    assert len(handler.runs) == 1


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 500, 502, 503])
async def test_failures_that_may_pass_run_again(store: MemoryKeyStore, status: int) -> None:
    handler = Handler(status)
    web = IdempotencyMiddleware(handler, store)

    answers = [await ask(web, "k") for _ in range(2)]

    assert [(answer.status, answer.body) for answer in answers] == [(status, b"1"), (status, b"2")]
    assert [run["jobstream.idempotency"].attempt for run in handler.runs] == [1, 2]
    assert problem(await ask(web, "k", b"other")) == (422, "idempotency-key-reused")


async def test_the_service_says_what_is_kept(store: MemoryKeyStore) -> None:
    handler = Handler(500)
    web = IdempotencyMiddleware(handler, store, stores=lambda status: status == 500)

    assert [(await ask(web, "k")).body for _ in range(2)] == [b"1", b"1"]


async def test_an_exception_frees_the_key(store: MemoryKeyStore) -> None:
    handler = Handler(
        201, {**BODY, "body": b"half", "more_body": True}, headers=[(b"content-length", b"9")]
    )
    handler.fails = ValueError("broken")
    web = IdempotencyMiddleware(handler, store)

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await ask(web, "k")

    assert len(handler.runs) == 2


async def test_an_exception_after_the_answer_changes_nothing(store: MemoryKeyStore) -> None:
    handler = Handler(fails=ValueError("in a background task"))
    web = IdempotencyMiddleware(handler, store)
    with pytest.raises(ValueError, match="background"):
        await ask(web, "k")

    assert (await ask(web, "k")).body == b"1"
    assert len(handler.runs) == 1


async def test_the_answer_is_sent_before_background_tasks_run(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    seen: list[dict[str, Any]] = []

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI
        seen.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    handler.after = lambda: seen.append({"type": "background"})
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"idempotency-key", b"k")]}
    await web(scope, receive, send)

    assert [message["type"] for message in seen] == [
        "http.response.start", "http.response.body", "background",
    ]  # fmt: skip


async def test_a_run_that_is_cancelled_frees_the_key(store: MemoryKeyStore) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store)
    first = asyncio.create_task(ask(web, "k"))
    await handler.began.wait()
    first.cancel()
    await asyncio.wait([first])
    handler.gate.set()

    assert (await ask(web, "k")).body == b"2"


async def test_a_run_that_never_answers_frees_the_key(store: MemoryKeyStore) -> None:
    runs = []

    async def silent(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        del receive
        runs.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    web = IdempotencyMiddleware(silent, store)

    answers = [await ask(web, "k") for _ in range(2)]

    assert len(runs) == 2
    assert [answer.status for answer in answers] == [200, 200], "the server sees what it would see"


async def test_after_a_crash_the_lease_frees_the_key_for_the_same_request_alone(
    store: MemoryKeyStore, clock: Clock
) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, lease="30s")
    crashed = asyncio.create_task(ask(web, "k"))
    handler.gate = asyncio.Event()
    await handler.began.wait()

    assert problem(await ask(web, "k"))[0] == 409
    clock.ms += 30_001
    assert problem(await ask(web, "k", b"other"))[0] == 422
    handler.gate.set()
    second = await ask(web, "k")
    zombie = await crashed
    third = await ask(web, "k")

    assert (second.status, second.header("idempotency-not-stored")) == (201, None)
    assert zombie.header("idempotency-not-stored") == "lease-lost"
    assert [run["jobstream.idempotency"].attempt for run in handler.runs] == [1, 2]
    assert third.body == second.body
    assert third.header("idempotency-replayed") == "true"


async def test_a_late_answer_is_kept_where_no_other_run_took_the_key(
    store: MemoryKeyStore, clock: Clock
) -> None:
    handler = Handler()
    handler.gate = asyncio.Event()
    web = IdempotencyMiddleware(handler, store, lease="30s")
    slow = asyncio.create_task(ask(web, "k"))
    await handler.began.wait()
    clock.ms += 60_000
    handler.gate.set()

    assert (await slow).header("idempotency-not-stored") is None
    assert (await ask(web, "k")).header("idempotency-replayed") == "true"


async def test_answers_expire(store: MemoryKeyStore, clock: Clock) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, keep="1h")
    await ask(web, "k")
    clock.ms += 3_599_999
    assert (await ask(web, "k")).body == b"1"
    clock.ms += 2

    assert (await ask(web, "k", b"another request")).body == b"2"


async def test_an_answer_without_length_in_parts_is_streamed_and_not_repeated(
    store: MemoryKeyStore,
) -> None:
    parts: list[dict[str, Any]] = [
        {**BODY, "body": b"a", "more_body": True},
        {**BODY, "body": b"b"},
    ]
    handler = Handler(200, *parts, headers=[(b"x-a", b"1")])
    web = IdempotencyMiddleware(handler, store)

    first, second = [await ask(web, "k") for _ in range(2)]

    assert first.header("idempotency-not-stored") == "streamed"
    assert [message.get("body") for message in first.messages[1:]] == [b"a", b"b"]
    assert problem(second) == (409, "idempotency-answer-not-kept")
    assert json.loads(second.body)["original_status"] == 200
    assert len(handler.runs) == 1


async def test_events_are_streamed_from_the_first(store: MemoryKeyStore) -> None:
    handler = Handler(
        200,
        {**BODY, "body": b"data: 1\n\n"},
        headers=[(b"Content-Type", b"text/event-stream"), (b"content-length", b"9")],
    )
    web = IdempotencyMiddleware(handler, store)

    assert (await ask(web, "k")).header("idempotency-not-stored") == "streamed"
    assert problem(await ask(web, "k"))[0] == 409


async def test_a_stream_that_breaks_frees_the_key(store: MemoryKeyStore) -> None:
    handler = Handler(200, {**BODY, "body": b"a", "more_body": True}, headers=[])
    handler.fails = ValueError("broken")
    web = IdempotencyMiddleware(handler, store)

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await ask(web, "k")

    assert len(handler.runs) == 2


@pytest.mark.parametrize("headers", [
    [(b"content-length", b"11")], [], [(b"content-length", b"11"), (b"x", b"y" * 20)],
])  # fmt: skip
async def test_an_answer_that_is_too_large_is_not_kept_and_not_made_again(
    store: MemoryKeyStore, headers: list[tuple[bytes, bytes]]
) -> None:
    handler = Handler(200, {**BODY, "body": b"x" * 11}, headers=headers)
    web = IdempotencyMiddleware(handler, store, answer_max=10)

    first, second = [await ask(web, "k") for _ in range(2)]

    assert (first.body, first.header("idempotency-not-stored")) == (b"x" * 11, "too-large")
    assert not first.messages[-1].get("more_body")
    assert problem(second) == (409, "idempotency-answer-not-kept")
    assert len(handler.runs) == 1


async def test_a_file_sent_by_its_path_is_not_kept(store: MemoryKeyStore) -> None:
    handler = Handler(
        200, {"type": "http.response.pathsend", "path": "/f"}, {**BODY, "body": b""}, headers=[]
    )
    web = IdempotencyMiddleware(handler, store)

    first = await ask(web, "k")

    assert [message["type"] for message in first.messages] == [
        "http.response.start", "http.response.pathsend", "http.response.body",
    ]  # fmt: skip
    assert problem(await ask(web, "k"))[0] == 409


@pytest.mark.parametrize("told", [((b"content-length", b"11"),), ()])
async def test_a_body_beyond_the_bound_is_refused_and_leaves_no_trace(
    store: MemoryKeyStore, told: tuple[tuple[bytes, bytes], ...]
) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, body_max=10)

    refused = await ask(web, "k", chunks=[b"x" * 6, b"x" * 5], headers=told)

    assert problem(refused) == (413, "content-too-large")
    assert handler.runs == []
    assert (await ask(web, "k", b"small")).status == 201


async def test_a_client_that_leaves_within_its_body_leaves_no_trace(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)

    assert (await ask(web, "k", leaves_early=True)).messages == []
    assert handler.runs == []
    assert (await ask(web, "k", b"whole")).status == 201


async def test_a_body_in_chunks_is_the_same_request(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)

    await ask(web, "k", b"abcdef")
    again = await ask(web, "k", chunks=[b"ab", b"", b"cd", b"ef"])

    assert again.header("idempotency-replayed") == "true"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_other_methods_pass(store: MemoryKeyStore, method: str) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store, required=True)

    for _ in range(2):
        await ask(web, "k", method=method)

    assert len(handler.runs) == 2
    assert "jobstream.idempotency" not in handler.runs[0]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_what_is_no_request_passes_untouched(store: MemoryKeyStore, kind: str) -> None:
    handler = Handler()
    scope = {"type": kind, "headers": [(b"idempotency-key", b"k")]}

    await IdempotencyMiddleware(handler, store, required=True)(scope, None, None)  # type: ignore[arg-type]

    assert handler.runs[0] is scope


async def test_a_key_may_be_required_by_path(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(
        handler, store,
        required=lambda _method, path: path.startswith("/pay"),
        applies=lambda _method, path: path != "/login",
    )  # fmt: skip

    assert problem(await ask(web, path="/pay")) == (400, "idempotency-key-missing")
    assert (await ask(web, path="/orders")).status == 201
    assert [(await ask(web, "k", path="/login")).body for _ in range(2)] == [b"2", b"3"]


@pytest.mark.parametrize("value", [
    "", " ", '""', "a,b", 'a"b', '"a', '"a" ', 'x"', "a\\b", '"a\\b"', "caf\xe9", "a\x00b", "a\tb",
    '"a";p=1', "x" * 256, '"a","a"', '"' + "x" * 256 + '"', "\x7f",
])  # fmt: skip
async def test_what_can_not_be_a_key_is_refused(store: MemoryKeyStore, value: str) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    accepted = {'"a" '}

    answer = await ask(web, value)

    if value in accepted:
        assert answer.status == 201
    else:
        assert problem(answer) == (400, "idempotency-key-malformed")
        assert handler.runs == []


async def test_the_quoted_form_of_the_draft_and_the_bare_one_are_one_key(
    store: MemoryKeyStore,
) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)

    for value in ("8e03978e-40d5", '"8e03978e-40d5"', "  8e03978e-40d5 "):
        assert (await ask(web, value)).body == b"1"
    for value in ('"a,b \\"c\\" \\\\"', "x" * 255):
        assert (await ask(web, value)).status == 201


async def test_a_header_that_is_there_twice_is_refused(store: MemoryKeyStore) -> None:
    web = IdempotencyMiddleware(Handler(), store)

    answer = await ask(web, "k", headers=((b"Idempotency-Key", b"k"),))

    assert problem(answer) == (400, "idempotency-key-malformed")


async def test_a_store_that_is_away_is_503_and_runs_nothing() -> None:
    handler, store = Handler(), FailingKeyStore()
    web = IdempotencyMiddleware(handler, store)
    store.fails = {"begin"}

    answer = await ask(web, "k")

    assert problem(answer) == (503, "idempotency-store-away")
    assert answer.header("retry-after") == "2"
    assert b"refused" not in answer.body, "how the store failed is for the log alone"
    assert handler.runs == []
    assert (await ask(web)).status == 201, "a request without a key needs no store"


async def test_a_service_may_let_requests_through_then_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler, store = Handler(), FailingKeyStore()
    web = IdempotencyMiddleware(handler, store, on_store_down="pass")
    store.fails = {"begin"}

    answers = [await ask(web, "k") for _ in range(2)]

    assert [answer.header("idempotency-not-stored") for answer in answers] == ["store-down"] * 2
    assert [answer.body for answer in answers] == [b"1", b"2"]
    assert [record.message for record in caplog.records] == ["idempotency_store_down"] * 2


async def test_an_answer_that_can_not_be_stored_is_sent_and_stored_later() -> None:
    handler, store = Handler(), FailingKeyStore()
    web = IdempotencyMiddleware(handler, store, lease="1s")
    handler.after = store.fails.clear
    store.fails_after_begin = {"keep"}
    first = await ask(web, "k")

    assert (first.status, first.header("idempotency-not-stored")) == (201, "store-down")
    wait_until(lambda: counted(web)["stored"], "the answer is stored", limit_s=60)
    assert (await ask(web, "k")).body == b"1"
    web.close()


@pytest.mark.parametrize(("options", "named"), [
    ({"keep": "soon"}, "keep="), ({"lease": "10ms"}, "lease="), ({"methods": ("GET",)}, "methods="),
    ({"methods": "post"}, "methods="), ({"methods": ()}, "methods="),
    ({"header": "a b"}, "header="),
    ({"body_max": 0}, "body_max="), ({"answer_max": True}, "answer_max="),
    ({"on_store_down": "ignore"}, "on_store_down="), ({"applies": "/x"}, "applies="),
    ({"caller": "me"}, "caller="), ({"kept": "1h"}, "no option 'kept'"),
])  # fmt: skip
def test_a_wrong_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        IdempotencyMiddleware(Handler(), MemoryKeyStore(), **options)

    assert named in str(refused.value)


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="give a SqlKeyStore or a MemoryKeyStore"):
        IdempotencyMiddleware(Handler(), "postgresql://localhost")  # type: ignore[arg-type]


async def test_what_becomes_of_requests_is_counted() -> None:
    handler, store = Handler(), FailingKeyStore()
    web = IdempotencyMiddleware(handler, store)
    for key, body in (("k", b"1"), ("k", b"1"), ("k", b"2"), ("", b"")):
        await ask(web, key, body)
    handler.status = 500
    await ask(web, "l")
    store.fails = {"begin"}
    await ask(web, "m")

    seen = {outcome: count for outcome, count in counted(web).items() if count}
    assert seen == {
        "stored": 1, "replayed": 1, "mismatch": 1, "refused": 1, "released": 1, "store_down": 1,
    }  # fmt: skip
    assert {"conflict", "unkept", "lease_lost"} < counted(web).keys(), "at 0 from the start"


async def test_a_client_that_left_gets_its_answer_with_the_repeat(store: MemoryKeyStore) -> None:
    handler = Handler()
    web = IdempotencyMiddleware(handler, store)
    scope = scope_of(headers=((b"idempotency-key", b"k"),))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def gone(message: Any) -> None:  # noqa: ANN401 - ASGI
        raise OSError(message["type"])

    with pytest.raises(OSError, match="start"):
        await web(scope, receive, gone)

    assert (await ask(web, "k")).body == b"1"
    assert len(handler.runs) == 1


async def test_a_store_that_hangs_is_given_up_and_what_it_took_is_given_back() -> None:
    handler, store = Handler(), HangingKeyStore()
    web = IdempotencyMiddleware(handler, store, store_limit="100ms")

    refused = await ask(web, "k")
    assert problem(refused) == (503, "idempotency-store-away")
    assert handler.runs == []
    store.goes_on.set()
    wait_until(lambda: counted(web)["released"], "the key is given back", limit_s=60)

    assert (await ask(web, "k")).status == 201
    web.close()


async def test_a_store_that_blocks_is_called_on_other_threads() -> None:
    handler, store = Handler(), HangingKeyStore()
    store.goes_on.set()
    web = IdempotencyMiddleware(handler, store)

    await ask(web, "k")

    assert store.threads
    assert threading.get_ident() not in store.threads
    web.close()
