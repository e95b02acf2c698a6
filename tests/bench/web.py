"""Enqueue over HTTP at a steady 200 jobs a second, and answers of screens, from one server."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from tests.bench.jobs import notes
from tests.bench.report import Figure, percentile

from jobstream.answers.app_site import Site
from jobstream.web.api_route import V1
from jobstream.web.application import application
from jobstream.web.desk import Desk
from jobstream.web.listening import listen
from jobstream.web.tokens import TokenFile
from jobstream.web.web_options import WebOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.jobs import Bench
    from tests.bench.rig import Rig

RATE = 200
CLIENTS = 8
WARM_UP = 200
"""Requests that are sent first and not judged: connections and topics are looked up then."""
GOAL_MS = 15.0
ANSWER_GOAL_MS = 200.0
SCREENS = ("overview", "queues", "types", "workers", "audit", "dead-letters", "jobs")


def measure(rig: Rig) -> Iterator[Figure]:
    """The server has this process, its clients another: they share the cores alone."""
    count = WARM_UP + rig.size(6_000, 1_000)
    bench = rig.bench("web")
    desk = Desk(
        Site.of(bench.app),
        TokenFile(Path("/nonexistent/tokens")),
        WebOptions(open_to_loopback=True),
    )
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(application(desk), log_config=None, access_log=False, lifespan="on")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    used_s = time.process_time()
    # Clients in threads of this process would wait for its interpreter lock, as no client does.
    with ProcessPoolExecutor(1, get_context("spawn")) as clients:
        took = clients.submit(_enqueued, port, count).result()
    used_ms = (time.process_time() - used_s) * 1_000 / count
    alone = asyncio.run(_alone(bench, count))
    beside = f"aenqueue alone {percentile(alone, 0.99):.1f} ms"
    p99 = percentile(took, 0.99)
    yield Figure(f"enqueue over HTTP at {RATE}/s, p99", p99, "ms", beside, f"≤ {GOAL_MS:g} ms",
                 p99 <= GOAL_MS, f"{len(took)} requests")  # fmt: skip
    yield Figure("the same, median", percentile(took, 0.5), "ms", "", "", None, "")
    yield Figure("CPU of the server for one", used_ms, "ms", "", "", None, "")
    answers = _answers(port, rig.size(50, 10))
    yield _figure(
        "answer of a screen, p99", percentile(answers, 0.99), len(answers), ANSWER_GOAL_MS
    )
    server.should_exit = True
    thread.join(10)
    rig.drop(bench)


def _figure(what: str, value: float, count: int, goal: float) -> Figure:
    return Figure(what, value, "ms", f"{count} requests", f"≤ {goal:g} ms", value <= goal, "")


def _enqueued(port: int, count: int) -> list[float]:
    """Milliseconds of each request but the first ones, sent at their times by a few clients."""
    body = json.dumps({"args": {"n": 1, "text": "x"}})
    began = time.monotonic() + 1.0

    def send(client: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        found = []
        for number in range(client, count, CLIENTS):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            at = time.perf_counter()
            connection.request(
                "POST", f"{V1}/types/stamp/jobs", body, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 202:
                raise AssertionError(text)
            if number >= WARM_UP:
                found.append((time.perf_counter() - at) * 1_000)
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [each for found in pool.map(send, range(CLIENTS)) for each in found]


async def _alone(bench: Bench, count: int) -> list[float]:
    """The same jobs from a coroutine of this process: what is not the way over HTTP."""
    loop, job, found = asyncio.get_running_loop(), bench.types["stamp"], list[float]()
    began = loop.time() + 1.0

    async def send(number: int) -> None:
        await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
        at = time.perf_counter()
        await job.aenqueue(notes(1)[0])
        if number >= WARM_UP:
            found.append((time.perf_counter() - at) * 1_000)

    await asyncio.gather(*(send(number) for number in range(count)))
    return found


def _answers(port: int, times: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found = []
    for number in range(times + 1):
        for screen in SCREENS:
            at = time.perf_counter()
            connection.request("GET", f"{V1}/{screen}")
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise AssertionError(text)
            if number:
                found.append((time.perf_counter() - at) * 1_000)
    return found
