"""One worker of the app under trial: sound, or with the flaw that TRIAL_FLAW names built in."""

from __future__ import annotations

import logging
import os
import sys

import shop  # type: ignore[import-not-found]  # beside this file, which is run as a program
from tests.harness.waiting import wait_until

from jobstream.exits import FAILURE, REPLACE, leave, leave_threads
from jobstream.roles.process import Roles
from jobstream_processors.errors import ReplaceProcess, WorkerStopped

LIMIT_S = 300.0
PLAIN = frozenset(vars(logging.makeLogRecord({})))


class Formatter(logging.Formatter):
    """Shows what a record carries beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in vars(record).items() if name not in PLAIN}
        extra.pop("message", None)
        extra.pop("asctime", None)
        return f"{super().format(record)} {extra or ''}"


def main() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("jobstream.worker").setLevel(logging.DEBUG)  # each partition by itself
    if flaw := os.environ.get("TRIAL_FLAW"):
        import flaws  # type: ignore[import-not-found]  # noqa: PLC0415  # not in a sound worker

        flaws.build_in(flaw)
    if place := os.environ.get("TRIAL_HANG"):
        import failpoints  # type: ignore[import-not-found]  # noqa: PLC0415  # the same

        failpoints.hang_at(place)
    if door := os.environ.get("TRIAL_DOOR"):
        (shop.FOLDER / "waits").touch()
        wait_until((shop.FOLDER / door).exists, "it may come in", limit_s=LIMIT_S)
    only = os.environ.get("TRIAL_ONLY") or None
    try:
        Roles(shop.app, only=only).run()
    except Exception as error:
        logging.getLogger("trial").exception("worker ended")
        if isinstance(error, WorkerStopped | ReplaceProcess):
            leave(REPLACE)
        leave_threads(FAILURE)  # As the command line does: a thread may wait for a broker for long.
        raise


if __name__ == "__main__":
    main()
