"""Output that can't be written fails nothing, and is told of once it can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from jobstream.cli.lossy import LossyWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 120
# Whether output is buffered is said by each test, not by who runs it.
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
# Prints far more than a pipe holds, logs, and ends as any program does.
PROGRAM = """
import logging, sys
from jobstream.cli.log_output import configure_process
configure_process("json", "info")
for _ in range(100):
    print("x" * 2_000, flush=True)
    print("x" * 2_000, file=sys.__stdout__, flush=True)
    logging.getLogger("shop").error("failed")
print("not flushed")
open({mark!r}, "w").write("served")
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reads, writes = os.pipe()
    yield reads, writes
    for end in (reads, writes):
        os.close(end)


def drain(reads: int) -> bytes:
    """All that is in the pipe now."""
    os.set_blocking(reads, False)
    found = b""
    while True:
        try:
            found += os.read(reads, 65_536)
        except BlockingIOError:
            return found


@pytest.mark.parametrize("options", [[], ["-u"]])
@pytest.mark.parametrize("output", ["left", "unread", "full", "closed"])
def test_a_program_whose_output_goes_nowhere_ends_with_0(
    options: list[str], output: str, pipe: tuple[int, int], tmp_path: str
) -> None:
    mark = os.path.join(tmp_path, "mark")  # noqa: PTH118 - becomes text
    command = [sys.executable, *options, "-c", PROGRAM.format(mark=mark)]
    reads, writes = pipe
    if output == "left":
        # Closes it too, and keeps the number from whatever another thread opens meanwhile.
        os.dup2(writes, reads)
    if output == "closed":
        command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - of the kernel
        to = full.fileno() if output == "full" else writes
        ran = subprocess.run(
            command, stdout=to, stderr=to, env=ENVIRON, timeout=WAIT_S, check=False
        )

    assert ran.returncode == 0
    assert os.path.exists(mark)  # noqa: PTH110 - likewise


def test_what_was_lost_is_told_once_somebody_reads(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = LossyWriter(writes, "stdout", stall_s=0.01)
    line = b"x" * 999 + b"\n"
    for _ in range(200):
        assert writer.write(line) == len(line)
    found = drain(reads)
    lost = 200 - found.count(b"\n")
    writer.write(b"again\n")

    assert lost > 0
    told = b"jobstream: %d writes to stdout were lost: its reader does not read\nagain\n" % lost
    assert drain(reads).lstrip(b"\n") == told


def test_what_is_larger_than_a_pipe_takes_at_once_comes_whole(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    LossyWriter(writes, "stdout").write(b"x" * 30_000 + b"\n")

    assert drain(reads) == b"x" * 30_000 + b"\n"


def test_what_is_larger_than_a_pipe_holds_keeps_nobody(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = LossyWriter(writes, "stdout", stall_s=0.01)
    writing = threading.Thread(target=writer.write, args=(b"x" * 200_000,), daemon=True)
    writing.start()
    writing.join(WAIT_S)
    kept = writing.is_alive()
    drain(reads)

    assert not kept


CLOSES = {
    "close": "sys.stdout.close(), sys.stderr.close()",
    "with": "exec('with sys.stdout, sys.stderr: pass')",
    "a wrapper that is dropped": "io.TextIOWrapper(sys.stdout.buffer), io.open(2, 'w', closefd=0)",
    "buffer": "sys.stdout.buffer.close(), sys.stderr.buffer.close()",
}
CLOSING = """
import io, logging, sys
from jobstream.cli.log_output import configure_process
configure_process("json", "info")
print("before")
{closes}
print("after")
logging.getLogger("shop").error("logged")
"""


@pytest.mark.parametrize("options", [[], ["-u"]])
@pytest.mark.parametrize("how", CLOSES)
def test_who_closes_the_output_closes_it_for_nobody(options: list[str], how: str) -> None:
    command = [sys.executable, *options, "-c", CLOSING.format(closes=CLOSES[how])]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRON, timeout=WAIT_S, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "before\nafter\n")
    assert "logged" in ended.stderr


def test_a_line_of_json_is_json_whatever_the_encoding_of_the_stream() -> None:
    code = "import logging; from jobstream.cli.log_output import configure_process;"
    code += "configure_process('json', 'info'); logging.getLogger('shop').error('gr\\xfc\\xdfe')"
    environ = {**ENVIRON, "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environ, timeout=WAIT_S, check=True
    )
    assert json.loads(ended.stderr.decode())["event"] == "gr\xfc\xdfe"
