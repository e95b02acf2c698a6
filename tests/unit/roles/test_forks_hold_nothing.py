"""A fork that outlives its worker keeps no lock, no port and no pipe from whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from jobstream.broker.free_ports import some_free_port
from jobstream.dedup.slots import claim_slot
from jobstream.observe.health import Probes
from jobstream.observe.server import serve
from jobstream.observe.targets import folder_of, living
from jobstream.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

# What a worker holds; then a fork that stays, as a handler may leave one. Says what it has.
WORKER = """
import os, signal, sys
from jobstream.dedup.slots import claim_slot
from jobstream.observe.health import Probes
from jobstream.observe.server import serve
from jobstream.settings import Settings
from jobstream_processors.execute.line import _pair

settings = Settings.load({}, state_dir=sys.argv[1], metrics_port=int(sys.argv[2]))
slot = claim_slot(sys.argv[1], "shop", "c1")
ours, theirs = _pair()
ours.settimeout(120)
hears, says = os.pipe()
def stay():
    os.write(says, b".")
    signal.pause()
with serve(settings, "shop", "worker", [], Probes()) as endpoint:
    fork = os.fork() or stay()
    os.read(hears, 1)  # It has closed all that it is not to hold, in whatever order.
    theirs.close()
    ended = ours.recv(1) or "end"
    print(slot.path.name, endpoint.address.rpartition(":")[2], fork, ended, flush=True)
    signal.pause()
"""


def test_a_fork_holds_nothing_of_a_worker_that_is_gone(tmp_path: Path) -> None:
    # Of those that no client is given: one that is free again is to stay so.
    command = [sys.executable, "-c", WORKER, str(tmp_path), str(some_free_port())]
    folder = folder_of(tmp_path, "shop")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        slot, port, fork, pipe = worker.stdout.readline().split()
        try:
            assert (slot, pipe) == ("slot-0", "end")
            # The worker itself still has all of it.
            with claim_slot(tmp_path, "shop", "c1") as second:
                assert second.path.name == "slot-1"
            assert [target.pid for target in living(folder)] == [worker.pid]

            worker.kill()
            worker.wait()

            assert living(folder) == []
            with claim_slot(tmp_path, "shop", "c1") as next_one:
                assert next_one.path.name == "slot-0"
            settings = Settings.load({}, state_dir=tmp_path, metrics_port=int(port))
            serve(settings, "shop", "worker", [], Probes()).close()
        finally:
            worker.kill()
            os.kill(int(fork), signal.SIGKILL)
