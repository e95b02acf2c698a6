"""Which of our files a plain job enters, from `enqueue` to its finished offset: traced, no guess.

A plain job has no key, no delay and no options; its handler is `async` and returns. It runs in
memory, so the edges to Kafka and to the disk are stand-ins, which are left out. So is what the
process enters without any job, and what it does at intervals for all jobs at once: its ticks, and
the mirrors of its watermarks.
`python -m tests.harness.plain_job` prints the files, with their lines and the functions.
"""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobstream import App
from jobstream.testing import memory

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
SOURCES = tuple(f"{ROOT / name}/" for name in ("streams", "processors", "schemas"))
ROUNDS = {"Engine.tick", "MirrorWriter.publish", "MemoryWorker._mirror"}
"""What runs at intervals, whatever it enters."""
STAND_INS = "streams/jobstream/testing/"
LIMIT_S = 60.0


@dataclass
class Nothing:
    """No args."""


class Tracer:
    """Notes each function of ours that is entered, on every thread that starts from now on."""

    def __init__(self) -> None:
        self.entered: defaultdict[str, set[str]] = defaultdict(set)

    def __call__(self, frame: FrameType, event: str, _arg: Any) -> None:  # noqa: ANN401 - as Python calls it
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(SOURCES):
            place = Path(code.co_filename).relative_to(ROOT).as_posix()
            if not place.startswith(STAND_INS) and not in_a_round(frame):
                self.entered[place].add(code.co_qualname)


def in_a_round(frame: FrameType | None) -> bool:
    """Whether the function was entered from what runs at intervals."""
    while frame is not None:
        if frame.f_code.co_qualname in ROUNDS:
            return True
        frame = frame.f_back
    return False


def way_of_a_plain_job() -> dict[str, set[str]]:
    """The functions that a plain job enters, by file. Blocks for about a second."""
    app, tracer = App("traced"), Tracer()

    async def handle(args: Nothing) -> None:
        pass

    job = app.job(handle)
    # The worker's thread is started by the first run, so it is traced from its beginning.
    threading.setprofile(tracer)
    try:
        with memory(app) as jobs:
            job.enqueue(Nothing())
            jobs.run_until_idle(timeout_s=LIMIT_S)
            tracer.entered.clear()
            jobs.run_until_idle(timeout_s=LIMIT_S)
            idle = {place: set(names) for place, names in tracer.entered.items()}
            tracer.entered.clear()
            sys.setprofile(tracer)
            job.enqueue(Nothing())
            sys.setprofile(None)
            jobs.run_until_idle(timeout_s=LIMIT_S)
            found = {place: set(names) for place, names in tracer.entered.items()}
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    own = {place: names - idle.get(place, set()) for place, names in found.items()}
    return {place: names for place, names in sorted(own.items()) if names}


def lines_of(place: str) -> int:
    """How many lines a file has."""
    return len((ROOT / place).read_text().splitlines())


if __name__ == "__main__":
    way = way_of_a_plain_job()
    for each, functions in way.items():
        print(f"{lines_of(each):4} {each}: {', '.join(sorted(functions))}")  # noqa: T201
    print(len(way), "files,", sum(map(lines_of, way)), "lines")  # noqa: T201
