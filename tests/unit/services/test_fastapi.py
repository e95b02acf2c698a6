"""jobstream in a service of FastAPI: from its start to its shutdown, with everything in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import Response  # noqa: TC002 - FastAPI reads the types
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from jobstream import App, ConfigError, EnqueueTimeout, QueueFull
from jobstream.fastapi import Jobs, install, jobs, jobs_of, jobs_with, lifespan, status_router
from jobstream.services.errors import ServiceClosed, ServiceNotStarted
from jobstream.testing import MemoryLookup, memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from jobstream.testing import MemoryJobs


@dataclass(frozen=True)
class Receipt:
    order_id: str


app = App("shop", size="small", enqueue_bytes_max=2_000)


@app.job
def send_receipt(args: Receipt) -> None:
    if args.order_id == "fails":
        raise ValueError(args.order_id)


Given = Annotated[Jobs, Depends(jobs)]
problems: dict[str, Callable[[], Exception]] = {
    "full": lambda: QueueFull("too much waits"),
    "away": lambda: EnqueueTimeout("no acknowledgement within 5 s"),
    "bug": lambda: ConfigError("no such option"),
}


def service(own: Any = None) -> FastAPI:  # noqa: ANN401 - as lifespan has it
    web = FastAPI(lifespan=lifespan(app, own))
    install(web)
    web.include_router(status_router())

    @web.post("/orders/{order_id}")
    async def take(order_id: str, given: Given) -> Response:
        return given.accepted(await send_receipt.aenqueue(Receipt(order_id)))

    @web.post("/plain/{order_id}")
    def take_in_a_thread(order_id: str, given: Given) -> Response:
        return given.accepted(send_receipt.enqueue(Receipt(order_id)))

    @web.post("/broken/{how}")
    async def broken(how: str) -> None:
        if how in problems:
            error = problems[how]()
            raise error
        wrong: Any = {"type": 5, "large": "x" * 3_000}[how]
        await send_receipt.aenqueue(Receipt(wrong))

    return web


@pytest.fixture
def bound() -> Iterator[MemoryJobs]:
    with memory(app) as found:
        yield found


@pytest.fixture
def browser(bound: MemoryJobs) -> Iterator[TestClient]:
    web = service()
    web.dependency_overrides[jobs] = jobs_with(app, MemoryLookup(bound))
    with TestClient(web, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/orders/o-1", "/plain/o-1"])
def test_an_order_is_accepted_and_its_status_followed(
    browser: TestClient, bound: MemoryJobs, path: str
) -> None:
    answer = browser.post(path)

    assert answer.status_code == 202
    told = answer.json()
    assert answer.headers["Location"] == told["status_url"]
    assert told["status_url"].endswith(f"/jobs/{told['job_id']}")
    assert browser.get(told["status_url"]).json()["stage"] == "waiting"
    bound.run_until_idle()
    shown = browser.get(told["status_url"])
    assert shown.headers["Cache-Control"] == "no-store"
    assert shown.json() == {
        "job_id": told["job_id"], "type": "send_receipt", "stage": "done", "state": "done",
        "attempt": 1, "has_ended": True,
    }  # fmt: skip


def test_a_job_that_died_has_failed(browser: TestClient, bound: MemoryJobs) -> None:
    told = browser.post("/orders/fails").json()
    bound.run_until_idle()

    shown = browser.get(told["status_url"]).json()

    assert (shown["stage"], shown["state"], shown["has_ended"]) == ("failed", "dead", True)


@pytest.mark.parametrize(
    ("how", "status", "repeats"),
    [
        ("full", 429, True),
        ("away", 503, True),
        ("type", 422, False),
        ("large", 413, False),
    ],
)
def test_what_an_enqueue_raises_has_an_answer(
    browser: TestClient, how: str, status: int, *, repeats: bool
) -> None:
    answer = browser.post(f"/broken/{how}")

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert ("Retry-After" in answer.headers) == repeats


def test_a_broker_that_is_away_is_a_503(browser: TestClient, bound: MemoryJobs) -> None:
    bound.broker.freeze()

    answer = browser.post("/orders/o-1")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "may_be_written" in answer.json()


def test_a_bug_of_the_service_stays_a_500(browser: TestClient) -> None:
    assert browser.post("/broken/bug").status_code == 500


def test_a_job_that_is_not_there_is_a_404(browser: TestClient) -> None:
    answer = browser.get("/jobs/no-such")

    assert answer.status_code == 404
    assert "no job has the id 'no-such'" in answer.json()["detail"]


def test_the_own_lifespan_lies_within_and_may_enqueue(bound: MemoryJobs) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def own(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        await send_receipt.aenqueue(Receipt("at the start"))
        yield {"mine": "kept"}
        await send_receipt.aenqueue(Receipt("at the end"))

    web = service(own)

    @web.get("/mine")
    async def mine(request: Request, given: Given) -> dict[str, str]:
        told.append(given.app.name)
        assert given.client is app.client
        return {"mine": request.state.mine}

    with TestClient(web) as client:
        assert client.get("/mine").json() == {"mine": "kept"}

    assert told == ["shop"]
    bound.assert_enqueued(send_receipt, Receipt("at the start"), count=1)
    bound.assert_enqueued(send_receipt, Receipt("at the end"), count=1)


def test_the_client_is_closed_at_the_end(bound: MemoryJobs) -> None:
    with TestClient(service()):
        opened = app.client
        send_receipt.enqueue(Receipt("o-1"))

    assert app.client is not opened
    assert len(bound.seen()) == 1


@pytest.mark.usefixtures("bound")
def test_an_own_lifespan_that_fails_still_closes_the_app() -> None:
    told = "no database"

    @asynccontextmanager
    async def own(web: FastAPI) -> AsyncIterator[None]:
        if web.title:
            raise OSError(told)
        yield

    with pytest.raises(OSError, match=told), TestClient(service(own)):
        pass  # pragma: no cover - it never starts


@pytest.mark.usefixtures("bound")
def test_before_the_lifespan_the_error_says_how_to_start_it() -> None:
    with pytest.raises(ServiceNotStarted, match="with TestClient"):
        TestClient(service()).post("/orders/o-1")


@pytest.mark.usefixtures("bound")
def test_after_the_shutdown_a_kept_request_is_refused() -> None:
    web = service()
    kept: list[Request] = []

    @web.get("/keep")
    async def keep(request: Request) -> None:
        kept.append(request)

    with TestClient(web) as client:
        client.get("/keep")

    with pytest.raises(ServiceClosed, match="has shut down"):
        asyncio.run(jobs(kept[0]))


def test_an_enqueue_after_the_shutdown_connects_anew(bound: MemoryJobs) -> None:
    with TestClient(service()):
        pass

    send_receipt.enqueue(Receipt("late"))

    bound.assert_enqueued(send_receipt, Receipt("late"), count=1)


def test_any_event_loop_may_enqueue(bound: MemoryJobs, browser: TestClient) -> None:
    browser.post("/orders/o-1")

    for number in range(2):
        asyncio.run(send_receipt.aenqueue(Receipt(f"loop {number}")))

    bound.assert_enqueued(send_receipt, count=3)


def test_a_blocking_enqueue_in_a_coroutine_says_what_to_use(bound: MemoryJobs) -> None:
    web = service()

    @web.post("/blocks")
    async def blocks() -> None:
        send_receipt.enqueue(Receipt("o-1"))

    with TestClient(web) as client:
        answer = client.post("/blocks")

    assert "await aenqueue" in answer.json()["detail"]
    assert bound.seen() == []


def test_two_apps_in_one_service_are_told_apart(bound: MemoryJobs) -> None:
    other = App("other", size="small")
    web = FastAPI(lifespan=lifespan(app, lifespan(other)))

    @web.get("/which")
    async def which(
        one: Annotated[Jobs, Depends(jobs_of("shop"))],
        two: Annotated[Jobs, Depends(jobs_of("other"))],
    ) -> list[str]:
        return [one.app.name, two.app.name]

    @web.get("/unclear")
    async def unclear(_: Given) -> None:
        """Never entered."""

    @web.get("/unknown")
    async def unknown(_: Annotated[Jobs, Depends(jobs_of("third"))]) -> None:
        """Never entered."""

    with memory(other), TestClient(web) as client:
        assert client.get("/which").json() == ["shop", "other"]
        with pytest.raises(ConfigError, match="has the apps other, shop"):
            client.get("/unclear")
        with pytest.raises(ConfigError, match="no app 'third'"):
            client.get("/unknown")
    assert bound.seen() == []


def test_a_mounted_service_has_the_jobs_of_the_outer_one(bound: MemoryJobs) -> None:
    inner = FastAPI()

    @inner.post("/orders")
    async def take(given: Given) -> Response:
        return given.accepted(await send_receipt.aenqueue(Receipt("inner")))

    outer = FastAPI(lifespan=lifespan(app))
    outer.mount("/inner", inner)
    with TestClient(outer) as client:
        answer = client.post("/inner/orders")

    assert answer.status_code == 202
    assert "Location" not in answer.headers  # the inner one has no status route
    bound.assert_enqueued(send_receipt, Receipt("inner"), count=1)


def test_a_web_socket_has_jobs_too(bound: MemoryJobs) -> None:
    web = service()

    @web.websocket("/talk")
    async def talk(socket: WebSocket, given: Given) -> None:
        await socket.accept()
        job = await send_receipt.aenqueue(Receipt(await socket.receive_text()))
        await socket.send_text(given.status_url(job.job_id) or "")
        await socket.close()

    with TestClient(web) as client, client.websocket_connect("/talk") as talking:
        talking.send_text("by socket")
        assert "/jobs/" in talking.receive_text()

    bound.assert_enqueued(send_receipt, Receipt("by socket"), count=1)


@pytest.mark.parametrize(("how", "code"), [("full", 1013), ("away", 1013), ("large", 1011)])
def test_a_web_socket_that_is_open_is_closed_by_a_refusal(
    bound: MemoryJobs, how: str, code: int
) -> None:
    """There is no answer any more that a document could be in."""
    web = service()

    @web.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        if how in problems:
            error = problems[how]()
            raise error
        await send_receipt.aenqueue(Receipt("x" * 3_000))

    with TestClient(web) as client, client.websocket_connect("/talk") as talking:
        told = talking.receive()

    assert (told["type"], told["code"]) == ("websocket.close", code)
    assert bound.seen() == []


def test_a_web_socket_that_is_not_open_gets_the_document(bound: MemoryJobs) -> None:
    web = service()

    @web.websocket("/talk")
    async def talk(_: WebSocket) -> None:
        error = problems["full"]()
        raise error

    with TestClient(web) as client, pytest.raises(WebSocketDenialResponse) as denied:  # noqa: SIM117 - as it reads
        with client.websocket_connect("/talk"):
            pass

    assert denied.value.status_code == 429
    assert bound.seen() == []


def test_the_status_can_be_guarded(bound: MemoryJobs) -> None:
    def guard(request: Request) -> None:
        if request.headers.get("X-Key") != "secret":
            raise HTTPException(401)

    web = FastAPI()
    web.include_router(status_router(dependencies=[Depends(guard)]))
    web.dependency_overrides[jobs] = jobs_with(app, MemoryLookup(bound))
    job = send_receipt.enqueue(Receipt("o-1"))
    client = TestClient(web)

    assert client.get(f"/jobs/{job.job_id}").status_code == 401
    assert client.get(f"/jobs/{job.job_id}", headers={"X-Key": "secret"}).status_code == 200


def test_the_override_needs_no_lifespan(bound: MemoryJobs) -> None:
    web = service()
    web.dependency_overrides[jobs] = jobs_with(app, MemoryLookup(bound))

    async def call() -> int:
        transport = httpx2.ASGITransport(app=web)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
            return (await client.post("/orders/o-1")).status_code

    assert asyncio.run(call()) == 202


def test_the_status_is_in_the_description_of_the_service(browser: TestClient) -> None:
    described = browser.get("/openapi.json").json()

    assert described["paths"]["/jobs/{job_id}"]["get"]["summary"] == "Status of a job"


def test_an_app_that_is_none_is_refused_where_it_is_given() -> None:
    with pytest.raises(ConfigError, match="there is no module 'no_such_shop'"):
        lifespan("no_such_shop:app")
