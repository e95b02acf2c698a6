"""Plays users that click, kills the agent in the middle, and counts sessions and jobs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from examples.clicks.sessions import GAP_MS, LENGTH_MS_MAX

from jobstream.broker import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPIC, PARTITIONS = "clicks", 4
WAIT_S = 180.0
AGENT = ("faust", "-A", "examples.clicks.agent:sessions", "worker", "--without-web", "-l", "warn")
KILLS = 2


def main() -> int:
    """Returns 0 if each session had one job."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m examples.clicks")
    parser.add_argument("--users", type=int, default=60, help="users who click (default: 60)")
    users = parser.parse_args().users
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        ledger.touch()
        environ = {
            **os.environ,
            "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "JOBSTREAM_STATE_DIR": folder,
            "CLICKS_LEDGER": str(ledger),
        }
        _make_topics(kafka.bootstrap_servers, environ)
        worker = _start(environ, "jobstream", "worker", "examples.clicks.app:app")
        agents = [_start(environ, *AGENT)]
        try:
            for _ in range(KILLS):
                before = ledger.stat().st_size
                _click(kafka.bootstrap_servers, users)
                # Sessions of all users end at about this moment: some have their job, some not.
                _wait(lambda: ledger.stat().st_size > before, "a job ran")  # noqa: B023 - called here
                agents[-1].kill()
                agents[-1].wait()
                agents.append(_start(environ, *AGENT))
                # So that the next clicks begin sessions of their own.
                threading.Event().wait(GAP_MS / 1_000 + 0.5)
            _click(kafka.bootstrap_servers, users)
            return _told(_sessions(kafka.bootstrap_servers), ledger)
        finally:
            for each in (*agents, worker):
                if each.poll() is None:
                    each.send_signal(signal.SIGTERM)
            for each in (*agents, worker):
                each.wait(WAIT_S)


def _make_topics(servers: str, environ: dict[str, str]) -> None:
    made = NewTopic(TOPIC, PARTITIONS, 1, config={"message.timestamp.type": "LogAppendTime"})
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([made]).values():
        future.result()
    words = [sys.executable, "-m", "jobstream", "topics", "apply", "examples.clicks.app:app"]
    subprocess.run(words, env=environ, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours


def _start(environ: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)  # noqa: S603 - ours


def _click(servers: str, users: int) -> None:
    """Three clicks of each user, within one session if the machine is not slow."""
    producer, pause = Producer({"bootstrap.servers": servers}), threading.Event()
    for _ in range(3):
        for number in range(users):
            producer.produce(TOPIC, b"/shop", key=f"user-{number}".encode())
        producer.flush(WAIT_S)
        pause.wait(0.2)


def _sessions(servers: str) -> Counter[tuple[str, int, int]]:
    """What is in the log, found in another way than the agent's: user by user."""
    times: dict[str, list[int]] = defaultdict(list)
    for user, at_ms in _clicks(servers):
        times[user].append(at_ms)
    found: Counter[tuple[str, int, int]] = Counter()
    for user, moments in times.items():
        first = last = moments[0]
        clicks = 0
        for at_ms in moments:
            if at_ms - last > GAP_MS or at_ms - first > LENGTH_MS_MAX:
                found[user, first, clicks] += 1
                first, clicks = at_ms, 0
            last, clicks = at_ms, clicks + 1
        found[user, first, clicks] += 1
    return found


def _clicks(servers: str) -> Iterator[tuple[str, int]]:
    reader = Consumer({"bootstrap.servers": servers, "group.id": "clicks-count"})
    for number in range(PARTITIONS):
        place = TopicPartition(TOPIC, number, 0)
        _, end = reader.get_watermark_offsets(place)
        reader.assign([place])
        while (at := reader.position([place])[0].offset) < end:
            message = reader.poll(WAIT_S)
            if message is None:
                error = f"partition {number} ends at {end}, and reading it at {at}"
                raise TimeoutError(error)
            if key := message.key():
                yield key.decode(), message.timestamp()[1]
    reader.close()


def _ran(ledger: Path) -> Counter[tuple[str, int, int]]:
    lines = [line.split() for line in ledger.read_text().splitlines()]
    return Counter((user, int(began_ms), int(clicks)) for user, began_ms, clicks in lines)


def _told(expected: Counter[tuple[str, int, int]], ledger: Path) -> int:
    try:
        _wait(lambda: not expected - _ran(ledger), "each session had its job")
    except TimeoutError as error:
        sys.stderr.write(f"{error}\n")
    ran = _ran(ledger)
    lost, more = (expected - ran).total(), (ran - expected).total()
    numbers = f"sessions={expected.total()} jobs={ran.total()} lost={lost} doubled={more}"
    sys.stdout.write(f"clicks: {numbers} kills={KILLS}\n")
    return 0 if not lost + more else 1


def _wait(condition: Callable[[], object], what: str) -> None:
    until, pause = time.monotonic() + WAIT_S, threading.Event()
    while not condition():
        if time.monotonic() > until:
            message = f"waited {WAIT_S:g} s in vain until {what}"
            raise TimeoutError(message)
        pause.wait(0.02)


if __name__ == "__main__":
    sys.exit(main())
