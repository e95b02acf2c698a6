"""What a request costs that has an idempotency key, beside the same without the middleware.

One client, one server, PostgreSQL on the loopback; the kinds of request take turns, so that a busy
moment of the machine meets all of them.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.report import Figure, not_measured, percentile
from tests.bench.usage import cpu_of
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_until

from jobstream.broker.free_ports import choose_addresses
from jobstream.sql import create_tables
from jobstream.sql.store_engine import engine_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

BODY = b'{"order": "o-1", "cents": 990}'
WARM_UP = 200
GOAL_MS = 1.0
WHAT = "a request with an idempotency key"
KINDS = ("plain", "keyed", "replayed")


def measure(rig: Rig) -> Iterator[Figure]:
    """Milliseconds of each kind, and what the key adds."""
    if not [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]:
        yield not_measured(WHAT, "no PostgreSQL under /usr/lib/postgresql")
        return
    with Postgres() as database:
        engine = engine_for(database.url)
        create_tables(engine)
        engine.dispose()
        with _served(database.url) as (port, pid):
            took = _in_turns(port, rig.size(6_000, 1_500))
            cpu_ms = {path: _cpu_ms(port, pid, path, rig.size(3_000, 500)) for path in KINDS[:2]}
    p50, p99 = ({kind: percentile(took[kind], share) for kind in KINDS} for share in (0.5, 0.99))
    over = p99["keyed"] - p99["plain"]
    yield Figure(
        f"{WHAT}: over the same without, p99", over, "ms",
        f"{p99['keyed']:.3g} beside {p99['plain']:.3g} ms, {len(took['keyed'])} each",
        f"≤ {GOAL_MS:g} ms", over <= GOAL_MS,
    )  # fmt: skip
    yield Figure(
        "the same, median", p50["keyed"] - p50["plain"], "ms",
        f"{p50['keyed']:.3g} beside {p50['plain']:.3g} ms",
    )  # fmt: skip
    yield Figure(
        "its repeat, which is answered from the table: over the same without, median",
        p50["replayed"] - p50["plain"], "ms", f"p99 {p99['replayed']:.3g} ms",
    )  # fmt: skip
    yield Figure(
        "CPU of the server for one with a key", cpu_ms["keyed"], "ms",
        f"{cpu_ms['plain']:.3g} ms without",
    )  # fmt: skip


@contextmanager
def _served(url: str) -> Iterator[tuple[int, int]]:
    """The service in a process of its own: its port, and its process."""
    port = int(choose_addresses(1, None)[0].port)
    command = ["uvicorn", "tests.bench.keyed_app:web", "--port", str(port), "--lifespan", "off"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--log-level", "warning", "--no-access-log"],
        env={**os.environ, "BENCH_KEYS": url},
    )
    try:
        wait_until(lambda: _answers(port), "the server answers", limit_s=60)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    try:
        _post(http.client.HTTPConnection("127.0.0.1", port, timeout=10), "plain", "")
    except OSError:
        return False
    return True


def _post(connection: http.client.HTTPConnection, kind: str, key: str) -> float:
    """Milliseconds of one request."""
    path = "/plain" if kind == "plain" else "/keyed"
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or "none"}
    at = time.perf_counter()
    connection.request("POST", path, BODY, headers)
    answer = connection.getresponse()
    answer.read()
    took = (time.perf_counter() - at) * 1_000
    replayed = answer.headers.get("Idempotency-Replayed") == "true"
    assert (answer.status, replayed) == (201, kind == "replayed"), (kind, answer.status)
    return took


def _in_turns(port: int, count: int) -> dict[str, list[float]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(WARM_UP + count):
        key = str(uuid.uuid4())
        for kind in KINDS:
            found = _post(connection, kind, key)
            if number >= WARM_UP:
                took[kind].append(found)
    return took


def _cpu_ms(port: int, pid: int, kind: str, count: int) -> float:
    """Of the server's process, for each request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    before = cpu_of(pid)
    for _ in range(count):
        _post(connection, kind, str(uuid.uuid4()))
    return (cpu_of(pid) - before) * 1_000 / count
