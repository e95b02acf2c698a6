"""Workers as real processes, to be killed, frozen and thawed; what was done to them is recorded.

A fleet starts one command as often as asked, each time with a log file of its own, and ends every
process it started, by its id, however the test ends. It knows no topic and no job: what the workers
did is told by their ledger, and judged in `audit`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.harness.stillness import cut_off
from tests.harness.waiting import TooLate

from jobstream.errors import BrokerUnavailable
from jobstream.kafka.consume.deaf import DEAF
from jobstream.kafka.consume.starting_points import NO_OFFSET
from jobstream.testing.ledger import Kill
from jobstream_processors.execute import leash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

STOP_LIMIT_S = 180.0
"""A worker drains for 25 s at most, then leaves its group; a busy machine takes its time."""
_TAIL_BYTES = 4_000
UNANSWERED = (DEAF, NO_OFFSET, BrokerUnavailable.__name__)
"""Why a worker ends that a supervisor is to start anew."""
STOOD_STILL = "this process stood still for"
"""Why one ends that a busy machine held up for longer than its session; it is to be started anew as
well."""
LOST_MS = 10_000
"""No longer before it says so, a worker has lost its partitions: it beats five times a second."""
_SAID_AT = 23
"""So many characters of a plain line are its time."""
ROOT = Path(__file__).resolve().parents[2]
"""Where members find `tests.harness`, which no environment has installed."""


class Member:
    """One worker process of a fleet."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    def __repr__(self) -> str:
        return f"<Member {self.name} pid {self.pid}>"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number if one ended it."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        self._process.send_signal(number)

    def wait(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Block until it has ended, at most `limit_s`; returns its exit code. Raises TooLate."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            message = f"{self} still runs after {limit_s:g} s; its log ends: {self.tail()}"
            raise TooLate(message) from error

    @property
    def left_unanswered(self) -> bool:
        """Whether it ended by itself since no broker answered one of its clients for long."""
        return any(reason in self._why_ended for reason in UNANSWERED)

    @property
    def left_held_up(self) -> bool:
        """Whether it ended by itself since it was held up for longer than its session."""
        return STOOD_STILL in self._why_ended

    @property
    def _why_ended(self) -> str:
        """What it told of its end; "" where it runs, or left as it was asked to."""
        if not self.exit_code:
            return ""
        return self.log.read_text(errors="replace").rpartition("worker ended")[2]

    def losses(self) -> list[Kill]:
        """What may have cut off its runs though nobody hit it, by its log in plain lines.

        Its session ended while it, or whoever could have heard of it, was held up.
        """
        found: list[Kill] = []
        words = ("partitions_lost", "worker ended") if self.left_held_up else ("partitions_lost",)
        for line in self.log.read_text(errors="replace").splitlines():
            if any(word in line for word in words):
                with suppress(ValueError):  # of a line without its time
                    said = datetime.strptime(line[:_SAID_AT], "%Y-%m-%d %H:%M:%S,%f").astimezone()
                    said_ms = int(said.timestamp() * 1_000)
                    found += cut_off(self.pid, said_ms - LOST_MS, said_ms)
        return found

    def tail(self) -> str:
        """The last lines of its log."""
        return self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")


class Fleet:
    """Worker processes that run one command.

    `with Fleet([sys.executable, "-m", "jobstream", "worker", "shop:app"], folder) as fleet`. To be
    used by one thread that lives as long as the fleet: the kernel ends members with that thread.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        """Describe the fleet; nothing is started. `env` is added to this process's variables."""
        self._command = list(command)
        self._folder = folder
        self._env = dict(env or {})
        self._started = 0
        self.members: list[Member] = []
        """Every member ever started, the dead ones included, in the order of their start."""
        self.kills: list[Kill] = []
        """What was done to them from outside, for `audit`."""
        self._replaced: set[Member] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process at once, as `end` does."""
        self.end()

    @property
    def alive(self) -> list[Member]:
        """The members that have not ended; a frozen one has not."""
        return [member for member in self.members if member.exit_code is None]

    @property
    def left(self) -> list[Member]:
        """The members that ended by themselves, with an error; those hit by a kill are not."""
        hit = {kill.pid for kill in self.kills}
        return [m for m in self.members if m.pid not in hit and (m.exit_code or 0) > 0]

    def start(self, env: Mapping[str, str] | None = None) -> Member:
        """Start one more member; `env` is for it alone.

        Its return proves that a process exists, not that it serves anything yet.
        """
        self._started += 1
        name = f"worker-{self._started}"
        log = self._folder / f"{name}.log"
        self._folder.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(  # the test's own command line
                [sys.executable, "-S", "-E", leash.__file__, str(os.getpid()), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._env, **(env or {})},
            )
        member = Member(name, process, log)
        self.members.append(member)
        return member

    def replace_left(self, *, excused: bool = False) -> None:
        """Start anew, as a supervisor would, members that left for what is no fault of theirs.

        They were held up, or brokers did not answer for long; `excused`: whatever it was. A member
        that ends by itself for any other reason stays ended: that is a fault.
        """
        for member in self.left:
            if member in self._replaced:
                continue
            if excused or member.left_unanswered or member.left_held_up:
                self._replaced.add(member)
                self.start()

    def kill(self, member: Member) -> Kill:
        """End it with SIGKILL, as the kernel does when memory is short; record it.

        Raises AssertionError if it had ended by itself: then the test killed nothing.
        """
        self._must_run(member)
        member.signal(signal.SIGKILL)
        code = member.wait()
        assert code == -signal.SIGKILL, f"{member} ended by itself with {code}: {member.tail()}"
        return self._record(Kill.now(member.pid))

    def died(self, member: Member, limit_s: float = STOP_LIMIT_S) -> Kill:
        """Wait until a job has killed it from inside; record that. Raises TooLate."""
        member.wait(limit_s)
        return self._record(Kill.now(member.pid))

    def freeze(self, member: Member) -> Kill:
        """Suspend it with SIGSTOP: it keeps its connections and answers nothing; record it."""
        self._must_run(member)
        kill = self._record(Kill.now(member.pid, "freeze"))
        member.signal(signal.SIGSTOP)
        return kill

    def thaw(self, member: Member) -> None:
        """Let a frozen member go on."""
        member.signal(signal.SIGCONT)

    def drain(self, member: Member, limit_s: float = STOP_LIMIT_S) -> int:
        """Ask it to leave with SIGTERM; blocks until it has. Returns its exit code."""
        self._must_run(member)
        member.signal(signal.SIGTERM)
        return member.wait(limit_s)

    def drain_all(self, limit_s: float = STOP_LIMIT_S) -> list[int]:
        """Ask every living member to leave, all at once; returns their exit codes."""
        leaving = self.alive
        for member in leaving:
            member.signal(signal.SIGTERM)
        until = time.monotonic() + limit_s
        return [member.wait(max(0.0, until - time.monotonic())) for member in leaving]

    def note_losses(self) -> None:
        """Record each session that ended while its worker lived, from logs in JSON.

        No coordinator listened then, and what had no row yet was cut off, as by a kill.
        """
        for member in self.members:
            for line in member.log.read_text(errors="replace").splitlines():
                if '"partitions_lost"' in line and line.startswith("{"):
                    event = json.loads(line)
                    at_s = datetime.fromisoformat(event["time"]).timestamp()
                    self._record(Kill(event["pid"], int(at_s * 1_000)))

    def end(self) -> None:
        """SIGKILL to whatever still runs; blocks until it is gone. Records nothing."""
        running = self.alive
        for member in running:
            member.signal(signal.SIGKILL)
        for member in running:
            member.wait()

    def _record(self, kill: Kill) -> Kill:
        self.kills.append(kill)
        return kill

    @staticmethod
    def _must_run(member: Member) -> None:
        code = member.exit_code
        assert code is None, f"{member} has ended already, with {code}: {member.tail()}"
