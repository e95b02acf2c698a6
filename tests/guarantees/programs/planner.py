"""An app of many schedules of a second, whose jobs note their tick, and a worker of it."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from jobstream import App, Context
from jobstream.exits import REPLACE, leave
from jobstream.roles.process import Roles
from jobstream_processors.errors import WorkerStopped

SCHEDULES = 40
FOLDER = Path(os.environ["TRIAL_FOLDER"])
app = App(os.environ["TRIAL_APP"], size="small")


@dataclass(frozen=True)
class Note:
    schedule: int = 0


@app.job
async def note(args: Note, ctx: Context) -> None:
    assert ctx.scheduled_for is not None
    line = f"{args.schedule} {round(ctx.scheduled_for.timestamp())} {ctx.job_id}\n"
    # One write of a short line at the end of a file is whole, also from several processes.
    with (FOLDER / "ticks").open("a", buffering=1) as ticks:
        ticks.write(line)


for number in range(SCHEDULES):
    app.every("1s", name=f"each-{number}", args=Note(number), missed="all", overlap="allow")(note)


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    try:
        Roles(app).run()
    except WorkerStopped:
        logging.getLogger("trial").exception("worker ended")
        leave(REPLACE)


if __name__ == "__main__":
    main()
