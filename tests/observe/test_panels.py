"""Every panel of every dashboard has data: asked of a real Prometheus after one eventful minute.

Workers, delayer, exporter and canary run as in production and are scraped each second, while this
happens: all is well; a burst comes; the workers are killed; they come back and many jobs fail; all
is well again. What the panels then show is kept in `.cache/panels/`: `make pictures` draws it.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from grafana.src.boards import BOARDS
from grafana.src.panel import Figure
from grafana.src.promql import filled_in
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana.src.panel import Board
    from tests.observe.conftest import Prometheus, StartPrometheus

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".cache" / "panels"
WAIT_S = 300
STOP_S = 60
SCRAPED_S = 3
"""After so long no scrape changes any more what was so at a time: each is given up after one."""
RATE_INTERVAL_S = 5
"""Four scrapes and one, as Grafana reckons it."""
MAIL_OBJECTIVE_S, IMAGES_OBJECTIVE_S = 5, 60
PICTURES = {
    "jobstream-overview": ("dead-workers", "retry-storm"),
    "jobstream-lag": ("retry-storm",),
    "jobstream-jobs": ("recovered",),
    "jobstream-workers": ("retry-storm",),
}
"""The parts of the story at whose end a board is drawn; those not here are not on a page."""
BURST, FLAKY, BROKEN = 1000, 150, 12

APP = """
import asyncio, threading
from dataclasses import dataclass
from jobstream import App, Backoff, Context

app = App("{name}", bootstrap_servers="{servers}", drain="5s")
mail = app.queue("mail", partitions=3, slo="5s", rungs={{"1d": 1}})
images = app.queue("images", partitions=2, slo="1m", rungs={{"1d": 1}})

@dataclass(frozen=True)
class Receipt:
    order_id: str
    milliseconds: int = 5
    failures: int = 0

@dataclass(frozen=True)
class Picture:
    name: str

@app.job(queue=images, expect="20ms", breaker="scaler")
def resize_picture(args: Picture) -> None:
    threading.Event().wait(0.05)

@app.job(queue=mail, retry=Backoff(attempts=2, first="1s", cap="1s"), expect="100ms")
async def send_receipt(args: Receipt, ctx: Context) -> None:
    await asyncio.sleep(args.milliseconds / 1000)
    if ctx.attempt <= args.failures:
        raise ConnectionError("the mail server closed the connection")
    if args.order_id.startswith("with-picture"):
        await ctx.aenqueue(resize_picture, Picture(args.order_id))
"""


@dataclass
class Scene:
    """An app with its processes and its load, in a folder of its own."""

    name: str
    folder: Path
    servers: str
    shop: Any = None
    marks: dict[str, float] = field(default_factory=dict)
    """When each part of the story ended."""

    def __post_init__(self) -> None:
        source = self.folder / "shop.py"
        source.write_text(APP.format(name=self.name, servers=self.servers))
        spec = importlib.util.spec_from_file_location(self.name, source)
        assert spec is not None
        assert spec.loader is not None
        self.shop = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = self.shop
        spec.loader.exec_module(self.shop)
        self.environ = {
            **os.environ,
            "JOBSTREAM_BOOTSTRAP_SERVERS": self.servers,
            "JOBSTREAM_STATE_DIR": str(self.folder / "state"),
        }
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def targets(self) -> str:
        return str(self.folder / "state" / self.name / "targets" / "*.json")

    def run(self, *words: str) -> None:
        command = [sys.executable, "-m", "jobstream", *words]
        subprocess.run(command, cwd=self.folder, env=self.environ, check=True, timeout=WAIT_S)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "jobstream", *words],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def kill(self, processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            process.kill()
            process.wait(STOP_S)
            self._running.remove(process)

    def look_after(self) -> None:
        """No process ends by itself."""
        for process in self._running:
            assert process.poll() is None, f"{process.args!r} left: see {self.folder}"

    def stop(self) -> None:
        """End what still runs, kindly at first."""
        self.shop.app.close()
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)


@contextmanager
def steady_load(scene: Scene) -> Iterator[None]:
    """About twenty mails and four pictures a second, until the block ends."""
    over = threading.Event()

    def send() -> None:
        shop = scene.shop
        number = 0
        while not over.wait(0.25):
            number += 1
            shop.send_receipt.enqueue_many(
                [
                    shop.Receipt(f"{'with-picture' if n == 0 else 'o'}-{number}-{n}")
                    for n in range(5)
                ]
            )

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(STOP_S)


def play(scene: Scene, prometheus: Prometheus) -> None:
    """The story; each part ends when Prometheus shows what it is about."""
    shop, marks = scene.shop, scene.marks
    late = 'max(jobs_lag_seconds{queue="mail",tier="main"})'

    def shows(expr: str) -> float:
        """Wait until it is so; returns a time at which it was."""

        def found() -> float | None:
            scene.look_after()
            at = time.time() - SCRAPED_S
            return at if prometheus.values(expr, at) else None

        at = wait_until(found, expr, limit_s=WAIT_S, every_s=0.3)
        assert at is not None
        return at

    def receipts(count: int, milliseconds: int, failures: int = 0) -> None:
        sent = [shop.Receipt(f"r-{n}", milliseconds, failures) for n in range(count)]
        shop.send_receipt.enqueue_many(sent)

    def workers() -> list[subprocess.Popen[bytes]]:
        words = ("worker", "shop:app", "--concurrency", "4", "--log", "json")
        return [scene.start(*words) for _ in range(2)]

    first = workers()
    marks["start"] = shows("sum(jobs_partitions_assigned) - sum(jobs_partitions_restoring) == 5")
    with steady_load(scene):
        shows("sum(jobs_canary_round_trip_seconds_count) > 2")
        shows('sum(rate(jobs_settled_total{outcome="done",job_type!="_canary"}[5s])) > 5')
        marks["healthy"] = shows(f"{late} < {MAIL_OBJECTIVE_S / 2}")
        receipts(BURST, 60)
        marks["backlog"] = shows(f"{late} > {MAIL_OBJECTIVE_S}")
        scene.kill(first)
        shows(f'max(max_over_time(jobs_group_members{{group="{scene.name}"}}[3s])) == 0')
        marks["dead-workers"] = shows(f"{late} > {1.5 * MAIL_OBJECTIVE_S}")
        receipts(FLAKY, 5, failures=1)
        receipts(BROKEN, 5, failures=9)
        receipts(BURST // 2, 60)
        workers()
        marks["retry-storm"] = shows(f"sum(jobs_open_dead_letters) > {BROKEN // 2}")
        receipts(BROKEN, 5, failures=9)  # A rate is seen only where its counter was there before.
        shows(f"{late} < {MAIL_OBJECTIVE_S / 2} and sum(jobs_open_dead_letters) == {2 * BROKEN}")
        shows("sum(jobs_lag_records) < 60")
        canary_s = "time() - max(jobs_canary_last_success_timestamp_seconds)"
        marks["recovered"] = shows(f"{canary_s} < 4 and {late} < {MAIL_OBJECTIVE_S / 2}")


class Played:
    """What is left when the story is over."""

    def __init__(self, scene: Scene, prometheus: Prometheus, started: float) -> None:
        self.scene = scene
        self.prometheus = prometheus
        self.started = started

    def filled(self, expr: str, until: float) -> str:
        """The expression with Grafana's variables as a reader has them who looks at that time."""
        return filled_in(
            expr,
            {
                "$__rate_interval": f"{RATE_INTERVAL_S}s",
                "$__interval": "1s",
                "$__range": f"{math.ceil(until - self.started)}s",
                "$app": self.scene.name,
                "$queue": ".*",
                "$job_type": ".*",
            },
        )

    def over_time(self, expr: str, until: float) -> list[dict[str, Any]]:
        """The series of an expression from the start of the story, second by second."""
        found = self.prometheus.api(
            "query_range",
            query=self.filled(expr, until),
            start=str(self.started),
            end=str(until),
            step="1",
        )
        return list(found["result"])

    def at(self, expr: str, at: float) -> list[dict[str, Any]]:
        found = self.prometheus.api("query", query=self.filled(expr, at), time=str(at))
        return list(found["result"])

    def keep(self, board: dict[str, Any], name: str, until: float) -> None:
        """Leave what a board shows at a time where `make pictures` finds it."""
        answers = {
            panel["id"]: {
                target["refId"]: (
                    self.at(target["expr"], until)
                    if panel["type"] == "table"
                    else self.over_time(target["expr"], until)
                )
                for target in panel["targets"]
            }
            for panel in board["panels"]
        }
        seconds = {"from": self.started, "to": until, "step": 1}
        KEPT.mkdir(parents=True, exist_ok=True)
        kept = {"board": board, "range": seconds, "answers": answers}
        (KEPT / f"{name}.json").write_text(json.dumps(kept))


@pytest.fixture(scope="module")
def played(
    kafka: EmbeddedKafka,
    start_prometheus: StartPrometheus,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Played]:
    for old in KEPT.glob("*.json"):
        old.unlink()
    name = f"shop-{uuid.uuid4().hex[:4]}"
    scene = Scene(name, tmp_path_factory.mktemp("panels"), kafka.bootstrap_servers)
    prometheus = start_prometheus(scene.targets)
    scene.run("topics", "apply", "shop:app")
    objectives = [f"mail={MAIL_OBJECTIVE_S}s", f"images={IMAGES_OBJECTIVE_S}s"]
    slos = [word for each in objectives for word in ("--slo", each)]
    try:
        scene.start("exporter", "shop:app", "--interval", "1s", *slos)
        scene.start("canary", "--app", name, "--interval", "2s", "--timeout", "10s")
        play(scene, prometheus)
        yield Played(scene, prometheus, scene.marks["start"])
    finally:
        scene.stop()


def numbers(series: list[dict[str, Any]]) -> list[float]:
    found = (float(value) for one in series for _, value in one["values"])
    return [number for number in found if not math.isnan(number)]


@pytest.mark.parametrize("board", BOARDS, ids=[board.uid for board in BOARDS])
def test_every_panel_has_data(board: Board, played: Played, subtests: pytest.Subtests) -> None:
    end = played.scene.marks["recovered"]
    shown = json.loads((ROOT / "grafana" / "dashboards" / f"{board.uid}.json").read_text())
    for panel, drawn in zip(board.panels, shown["panels"], strict=True):
        for target in drawn["targets"]:
            with subtests.test(panel=panel.key, query=target["refId"]):
                found = numbers(played.over_time(target["expr"], end))
                assert found or panel.may_be_empty, (
                    f"{panel.title}: {len(found)} samples; {played.filled(target['expr'], end)}"
                )
    short = board.uid.removeprefix("jobstream-")
    for part in PICTURES.get(board.uid, ()):
        played.keep(shown, f"{short}-{part}", played.scene.marks[part])


def test_boards_tell_the_story(played: Played) -> None:
    """What a reader of the first row sees at the end of each part."""
    late_queues = next(panel for panel in BOARDS[0].panels if panel.key == "late-queues")
    assert isinstance(late_queues, Figure)

    def late(part: str) -> float:
        (found,) = played.at(late_queues.queries[0].expr, played.scene.marks[part])
        return float(found["value"][1])

    assert [late(part) for part in ("healthy", "backlog", "dead-workers", "recovered")] == [
        0,
        1,
        1,
        0,
    ]
