"""Starts everything, waits until it is ready, says where it is, and ends it again by process id.

The processes are kept by the supervisor of the command line: one that dies is started again, and
none outlives this one.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from examples.observe.stack import app_of, services
from examples.observe.tools import alertmanager, free_port, prometheus

from jobstream.cli.supervisor import Child, Supervisor
from jobstream.observe.targets import folder_of, living

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from examples.observe.stack import Service

READY_S = 120.0
LEAVE_S = 45.0
ASK_AGAIN_S = 0.3
ASK_S = 2.0
APP = "shop"


class NotReady(Exception):
    """Something did not come up in time; the message names it and its log."""


class Stage:
    """One run. Made, run once, thrown away."""

    def __init__(self, root: Path, folder: Path, servers: str, workers: int) -> None:
        """Prepare; raises MissingTool where a program is missing."""
        self._folder = folder
        self._servers = servers
        self._app = app_of(root)
        self._workers = workers
        self._services = services(root)
        self._load = f"127.0.0.1:{free_port()}"
        manager = alertmanager(root, folder)
        others = {"alertmanager": manager.address, "load": self._load}
        self._tools = (manager, prometheus(root, folder, folder_of(folder / "state", APP), others))
        self._environment = {
            # What belongs to the place: the rest is as in the containers.
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "JOBSTREAM_METRICS_HOST": "127.0.0.1",
            "JOBSTREAM_METRICS_PORT": "0",
            "SHOP_METRICS": self._load,
            "PYTHONPATH": str(root),
        }

    def run(self, seconds: float | None) -> int:
        """Until Ctrl-C, SIGTERM or so many seconds after all is ready; returns the exit code."""
        for service in self._services:
            if service.runs_once:
                with self._log(service.name).open("wb") as log:
                    subprocess.run(  # noqa: S603 - our own command
                        service.command,
                        env={**os.environ, **self._set_by(service)},
                        stdout=log,
                        stderr=log,
                        check=True,
                    )
        return asyncio.run(self._keep(seconds))

    async def _keep(self, seconds: float | None) -> int:
        supervisor = Supervisor(list(self._children()), LEAVE_S)
        running = asyncio.create_task(supervisor.run())
        told = asyncio.create_task(self._tell())
        await asyncio.wait((running, told), return_when=asyncio.FIRST_COMPLETED)
        failed = told.done() and told.exception() is not None
        if told.done() and not failed and not running.done():
            await asyncio.wait((running,), timeout=seconds)
        told.cancel()
        if not running.done():
            print("observe: stopping", flush=True)
            supervisor.stop()
        code = await running
        if failed:
            await told
        return code

    def _children(self) -> Iterator[Child]:
        for service in self._services:
            for number in range(self._workers if service.name == "worker" else 1):
                if not service.runs_once:
                    set_here = [f"{k}={v}" for k, v in self._set_by(service).items()]
                    yield self._child(
                        f"{service.name}-{number}", ["env", *set_here, *service.command]
                    )
        for tool in self._tools:
            yield self._child(tool.name, tool.command)

    def _child(self, name: str, command: Sequence[str]) -> Child:
        """The command with what it says in a file of its own; `exec` keeps it one process."""
        script = 'exec "$@" >> "$0" 2>&1'
        return Child(name, ["/bin/sh", "-c", script, str(self._log(name)), *command])

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _set_by(self, service: Service) -> dict[str, str]:
        return {**service.environment, **self._environment}

    async def _tell(self) -> None:
        """Wait until all of it is ready, and print where it is."""
        until = time.monotonic() + READY_S
        wanted = self._wanted()
        while missing := await asyncio.to_thread(self._missing, wanted):
            if time.monotonic() > until:
                message = f"not ready after {READY_S:g} s: {', '.join(missing)}; see {self._folder}"
                raise NotReady(message)
            await asyncio.sleep(ASK_AGAIN_S)
        print(self._addresses(), flush=True)

    def _wanted(self) -> dict[str, int]:
        """How many processes of each role are to announce themselves."""
        kept = [s.name for s in self._services if not s.runs_once and s.name != "load"]
        return {name: self._workers if name == "worker" else 1 for name in kept}

    def _missing(self, wanted: dict[str, int]) -> list[str]:
        """What does not answer yet, or says that it is not ready."""
        there = [
            t for t in living(folder_of(self._folder / "state", APP)) if _ok(t.address, "/readyz")
        ]
        counts = {role: sum(t.role == role for t in there) for role in wanted}
        late = [role for role, count in wanted.items() if counts[role] < count]
        if not _ok(self._load, "/metrics"):
            late.append("load")
        return late + [tool.name for tool in self._tools if not _ok(tool.address, "/-/ready")]

    def _addresses(self) -> str:
        targets = living(folder_of(self._folder / "state", APP))
        found = [(tool.name, tool.address) for tool in self._tools]
        found += [(target.role, f"{target.address}/metrics") for target in targets]
        found.append(("load", f"{self._load}/metrics"))
        setting = {
            "JOBSTREAM_BOOTSTRAP_SERVERS": self._servers,
            "JOBSTREAM_STATE_DIR": self._folder / "state",
            "JOBSTREAM_APP": APP,
        }
        lines = [
            *(f"{name:<13} http://{where}" for name, where in found),
            f"logs          {self._folder}",
            "in another terminal:",
            "  export " + " ".join(f"{name}={value}" for name, value in setting.items()),
            f"  {sys.executable} -m jobstream status",
            f"  {sys.executable} -m jobstream lag --watch",
            "ready; Ctrl-C stops everything",
        ]
        return "\n".join(f"observe: {line}" for line in lines)


def _ok(address: str, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=ASK_S):
            return True
    except OSError:
        return False
