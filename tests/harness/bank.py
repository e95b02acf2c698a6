"""Drives the bank of guarantee tests: its database, its processes, and what became of orders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from sqlalchemy import select
from tests.harness.group_lag import GroupLag
from tests.harness.waiting import wait_until

from jobstream.kafka.client.admin import Admin
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.sql import create_tables
from jobstream.sql.database_url import database_url
from jobstream.sql.opening import engine_of
from jobstream.sql.schema import inbox, outbox
from jobstream.topics.apply import apply, survey
from jobstream.topics.names import worker_group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType, TracebackType

PROGRAM = Path(__file__).parents[1] / "guarantees" / "programs" / "bank.py"
LIMIT_S = 180.0


class Bank:
    """One bank: topics, tables, and processes that end with the block."""

    def __init__(self, load: ModuleType, folder: Path, env: dict[str, str]) -> None:
        self.shop = load
        self.folder = folder
        self._env = env
        self._processes: list[subprocess.Popen[bytes]] = []
        self.engine = engine_of(database_url(env["TRIAL_DATABASE"]))
        self.log = KafkaLog(load.app.settings.client_options())

    def __enter__(self) -> Self:
        app = self.shop.app
        admin = Admin(app.settings)
        apply(survey(admin, app.name, app.queues.values(), app.settings), admin)
        self.shop.own.create_all(self.engine)
        create_tables(self.engine)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.engine.dispose()
        self.shop.engine.dispose()
        self.shop.app.close()

    def start(self, *words: object, hang: str = "") -> subprocess.Popen[bytes]:
        """Start a process of it; with `hang` it stands still at that place."""
        env = {**os.environ, **self._env, "TRIAL_HANG": hang}
        command = [sys.executable, str(PROGRAM), *map(str, words)]
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=PROGRAM.parent)
        self._processes.append(process)
        return process

    def kill_at(self, place: str, *words: object) -> None:
        """Start a process, and kill it -9 where it stands still."""
        mark = self.folder / f"hung-{place}"
        mark.unlink(missing_ok=True)
        process = self.start(*words, hang=place)
        wait_until(mark.exists, f"it stands still at {place!r}", limit_s=LIMIT_S)
        process.kill()
        process.wait()

    def serve(self, first: int, last: int) -> None:
        """Let a service write these orders; blocks until it has ended."""
        assert self.start("service", first, last).wait(LIMIT_S) == 0, self.tail("service")

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ask it to leave, and see that it does."""
        process.terminate()
        assert process.wait(LIMIT_S) == 0

    def orders(self) -> list[int]:
        with self.engine.connect() as connection:
            return sorted(connection.execute(select(self.shop.orders.c.number)).scalars())

    def booked(self) -> list[int]:
        with self.engine.connect() as connection:
            return sorted(connection.execute(select(self.shop.booked.c.number)).scalars())

    def marks(self) -> int:
        with self.engine.connect() as connection:
            return len(connection.execute(select(inbox.c.job_id)).all())

    def rows(self) -> int:
        with self.engine.connect() as connection:
            return len(connection.execute(select(outbox.c.n)).all())

    def in_log(self) -> list[int]:
        """The orders in the log of the queue, those published twice as well, by partition."""
        plan = self.shop.app.plans()["mail"]
        found = []
        for partition in range(plan.partitions):
            place = (plan.topic, partition)
            for batch in self.log.read(place, *self.log.span(place)):
                found += [self.shop.book.codec.args(each.value() or b"").number for each in batch]
        return found

    def wait_until_relayed(self) -> None:
        wait_until(lambda: not self.rows(), "the outbox is empty", limit_s=LIMIT_S)

    def wait_until_booked(self, count: int) -> None:
        wait_until(
            lambda: len(set(self.booked())) >= count,
            f"{count} orders are booked",
            limit_s=LIMIT_S,
            every_s=0.2,
        )

    def wait_until_settled(self) -> None:
        """Wait until every job of the queue is settled and its offset committed."""
        plan = self.shop.app.plans()["mail"]
        places = [(plan.topic, partition) for partition in range(plan.partitions)]
        lag = GroupLag(self.shop.app.settings.client_options())
        group = worker_group(self.shop.app.name)
        wait_until(
            lambda: not any(at.lag for at in lag.standings(group, places).values()),
            "every job is settled",
            limit_s=LIMIT_S,
            every_s=0.3,
        )

    def runs(self) -> Sequence[str]:
        return (self.folder / "runs").read_text().split()

    def tail(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]


class NewBank(Protocol):
    """Makes a bank with a database of its own."""

    def __call__(self) -> Bank: ...
