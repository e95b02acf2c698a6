"""The ASGI middleware: what it refuses, and what it does where the store does not answer."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.harness.keyed_calls import AwaitedKeyStore, FailingKeyStore, HangingKeyStore, ask
from tests.harness.keyed_handler import Handler, counted, problem
from tests.harness.waiting import wait_until

from jobstream.errors import ConfigError
from jobstream.idempotency import MemoryKeyStore
from jobstream.web import IdempotencyMiddleware

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "told", [((b"content-length", b"11"),), ((b"content-length", b"9" * 5_000),), ()]
)
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
    runs = [scope["jobstream.idempotency"] for scope in handler.runs]
    assert [(run.slot.key, run.attempt) for run in runs] == [("k", 0)] * 2, "as where it is there"
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
    ({"methods": None}, "methods="), ({"methods": [["POST"]]}, "methods="),
    ({"on_store_down": ["pass"]}, "on_store_down="), ({"job_ids": "no"}, "job_ids="),
    ({"header": "a b"}, "header="),
    ({"body_max": 0}, "body_max="), ({"answer_max": True}, "answer_max="),
    ({"on_store_down": "ignore"}, "on_store_down="), ({"applies": "/x"}, "applies="),
    ({"service": b"a"}, "service="), ({"service": "a\n"}, "service="),
    ({"caller": "me"}, "caller="), ({"kept": "1h"}, "no option 'kept'"),
])  # fmt: skip
def test_a_wrong_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        IdempotencyMiddleware(Handler(), MemoryKeyStore(), **options)

    assert named in str(refused.value)


@pytest.mark.parametrize("store", ["postgresql://localhost", MemoryKeyStore, None])
def test_what_is_no_store_is_refused(store: Any) -> None:  # noqa: ANN401 - what is no store
    with pytest.raises(ConfigError, match="give a SqlKeyStore or a MemoryKeyStore"):
        IdempotencyMiddleware(Handler(), store)


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


async def assert_free(handler: Handler, store: MemoryKeyStore) -> None:
    """Whoever gives the store more time than it had can take the key."""
    patient = IdempotencyMiddleware(handler, store, store_limit="1m")
    assert (await ask(patient, "k")).status == 201
    patient.close()


async def test_a_store_that_hangs_is_given_up_and_what_it_took_is_given_back() -> None:
    handler, store = Handler(), HangingKeyStore()
    web = IdempotencyMiddleware(handler, store, store_limit="100ms")

    refused = await ask(web, "k")
    assert problem(refused) == (503, "idempotency-store-away")
    assert handler.runs == []
    store.goes_on.set()
    await asyncio.to_thread(
        wait_until, lambda: counted(web)["released"], "the key is given back", limit_s=60
    )

    await assert_free(handler, store)
    web.close()


async def test_an_awaited_store_that_hangs_is_given_up_and_what_it_took_is_given_back() -> None:
    handler, store = Handler(), AwaitedKeyStore()
    store.is_stubborn = True
    web = IdempotencyMiddleware(handler, store, store_limit="100ms")
    asked = asyncio.create_task(ask(web, "k"))

    done, _ = await asyncio.wait({asked}, timeout=60)
    store.goes_on.set()
    assert done, "the limit holds"
    assert problem(await asked) == (503, "idempotency-store-away")
    assert handler.runs == []
    await asyncio.to_thread(
        wait_until, lambda: counted(web)["released"], "the key is given back", limit_s=60
    )

    await assert_free(handler, store)
    web.close()


async def test_a_request_that_leaves_while_its_key_is_taken_gives_it_back() -> None:
    handler, store = Handler(), AwaitedKeyStore()
    web = IdempotencyMiddleware(handler, store)
    asked = asyncio.create_task(ask(web, "k"))
    await store.began.wait()
    asked.cancel()
    await asyncio.wait({asked})
    store.goes_on.set()
    await asyncio.to_thread(
        wait_until, lambda: counted(web)["released"], "the key is given back", limit_s=60
    )

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
