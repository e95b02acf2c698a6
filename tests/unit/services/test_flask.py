"""jobstream in a Flask: given once, asked in its context, and handlers that run in one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, current_app, g, has_request_context

from jobstream import App, ConfigError, EnqueueTimeout, QueueFull
from jobstream.flask import Jobstream, in_app_context
from jobstream.services.errors import ServiceNotStarted
from jobstream.testing import MemoryLookup, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.testing import MemoryJobs


@dataclass(frozen=True)
class Receipt:
    order_id: str


app = App("shop", size="small", enqueue_bytes_max=2_000)
made: list[Flask] = []
ended: list[str] = []


def make() -> Flask:
    """An application factory."""
    web = Flask("made")
    made.append(web)

    @web.teardown_appcontext
    def end(_: BaseException | None) -> None:
        ended.append(g.pop("order", "none"))

    return web


@app.job
@in_app_context(make)
def send_receipt(args: Receipt) -> None:
    assert current_app.name == "made"
    assert not has_request_context()
    g.order = args.order_id


@app.job
@in_app_context(make)
async def send_later(args: Receipt) -> None:
    g.order = args.order_id
    await asyncio.sleep(0)
    assert g.order == args.order_id


problems: dict[str, Callable[[], Exception]] = {
    "full": lambda: QueueFull("too much waits"),
    "away": lambda: EnqueueTimeout("no acknowledgement within 5 s"),
}


def service(jobs: Jobstream) -> Flask:
    web = Flask("shop")
    jobs.init_app(web)

    @web.post("/orders/<order_id>")
    def take(order_id: str) -> Response:
        return jobs.accepted(send_receipt.enqueue(Receipt(order_id)))

    @web.post("/broken/<how>")
    def broken(how: str) -> Response:
        if how in problems:
            error = problems[how]()
            raise error
        wrong: Any = {"type": 5, "large": "x" * 3_000}[how]
        return jobs.accepted(send_receipt.enqueue(Receipt(wrong)))

    return web


@pytest.fixture
def bound() -> Iterator[MemoryJobs]:
    made.clear()
    ended.clear()
    with memory(app) as found:
        yield found


def test_an_order_is_accepted_and_its_status_followed(bound: MemoryJobs) -> None:
    jobs = Jobstream(app=app, status="/jobs/<job_id>")
    web = service(jobs)
    jobs.look_in(web, MemoryLookup(bound))
    browser = web.test_client()

    answer = browser.post("/orders/o-1")

    assert answer.status_code == 202
    told = answer.get_json()
    assert answer.headers["Location"] == told["status_url"]
    assert browser.get(told["status_url"]).get_json()["stage"] == "waiting"
    bound.run_until_idle()
    shown = browser.get(told["status_url"])
    assert (shown.get_json()["stage"], shown.headers["Cache-Control"]) == ("done", "no-store")
    assert browser.get("/jobs/no-such").status_code == 404
    with web.app_context():
        assert jobs.status(told["job_id"]).has_ended
        assert jobs.app is app
        assert jobs.client is app.client


def test_without_a_status_there_is_no_location(bound: MemoryJobs) -> None:
    answer = service(Jobstream(app=app)).test_client().post("/orders/o-1")

    assert (answer.status_code, "Location" in answer.headers) == (202, False)
    assert len(bound.seen()) == 1


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize(
    ("how", "status", "repeats"),
    [("full", 429, True), ("away", 503, True), ("type", 422, False), ("large", 413, False)],
)
def test_what_an_enqueue_raises_has_an_answer(how: str, status: int, *, repeats: bool) -> None:
    answer = service(Jobstream(app=app)).test_client().post(f"/broken/{how}")

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in answer.headers) == repeats


def test_handlers_run_in_a_context_of_their_own(bound: MemoryJobs) -> None:
    for number in range(3):
        send_receipt.enqueue(Receipt(f"thread {number}"))
        send_later.enqueue(Receipt(f"loop {number}"))
    bound.run_until_idle()

    assert [job.state for job in bound.seen()] == ["done"] * 6
    assert sorted(ended) == sorted(f"{kind} {n}" for kind in ("loop", "thread") for n in range(3))
    assert len(made) <= 2  # one for each decorator, and none for a second job


def test_the_config_names_the_app() -> None:
    web = Flask("shop")
    web.config["JOBSTREAM_APP"] = app
    jobs = Jobstream()
    jobs.init_app(web)

    with web.app_context():
        assert jobs.app is app


@pytest.mark.parametrize(
    ("given", "told"),
    [(None, "config JOBSTREAM_APP names no app"), ("no_such_shop:app", "no module 'no_such_shop'")],
)
def test_an_app_that_is_not_there_is_refused_at_once(given: str | None, told: str) -> None:
    web = Flask("shop")
    web.config["JOBSTREAM_APP"] = given

    with pytest.raises(ConfigError, match=told):
        Jobstream(web)


def test_it_is_given_once() -> None:
    web = Flask("shop")
    jobs = Jobstream(web, app=app)

    with pytest.raises(ConfigError, match="call init_app once"):
        jobs.init_app(web)


def test_outside_of_a_context_the_error_says_how_to_open_one() -> None:
    jobs = Jobstream(Flask("shop"), app=app)

    with pytest.raises(ServiceNotStarted, match="outside of a Flask"):
        _ = jobs.app


def test_a_flask_without_it_is_named() -> None:
    jobs, web = Jobstream(app=app), Flask("shop")

    with web.app_context(), pytest.raises(ServiceNotStarted, match="init_app"):
        _ = jobs.app
    with pytest.raises(ServiceNotStarted, match="init_app"):
        jobs.look_in(web, None)  # type: ignore[arg-type]


def test_a_flask_in_place_of_its_maker_is_refused() -> None:
    wrong: Any = Flask("shop")

    with pytest.raises(ConfigError, match="give a function"):
        in_app_context(wrong)


def test_a_maker_that_gives_no_flask_fails_the_job(bound: MemoryJobs) -> None:
    other = App("other", size="small")
    wrong: Any = lambda: "web"  # noqa: E731 - as a user may write it

    @other.job
    @in_app_context(wrong)
    def never(_: Receipt) -> None:
        """Never entered."""

    with memory(other) as others:
        never.enqueue(Receipt("o-1"))
        others.run_until_idle()
        others.assert_dead(never)
        assert "no Flask" in others.seen()[0].message
    assert bound.seen() == []


def test_without_the_extra_the_error_names_it() -> None:
    program = (
        "import sys\nsys.modules['flask'] = None\nfrom jobstream import ConfigError\n"
        "try:\n    import jobstream.flask\nexcept ConfigError as error:\n    print(error)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "pip install 'jobstream[flask]'" in ran.stdout
