"""A bank with a database of its own: services write orders, jobs book them, each exactly once.

`python bank.py service FIRST LAST`, `python bank.py worker`, `python bank.py relay`. A process that
comes to a place which TRIAL_HANG names stands still there until it is killed.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, insert
from sqlalchemy.orm import Session

from jobstream import App, Backoff, Context
from jobstream.exits import REPLACE, leave
from jobstream.sql import enqueue_in, once
from jobstream_processors.errors import WorkerStopped

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(os.environ["TRIAL_FOLDER"])
URL = os.environ["TRIAL_DATABASE"]
HANG = os.environ.get("TRIAL_HANG", "")
KEYS = 7
RETRY = Backoff(attempts=8, first="200ms", cap="2s")

own = MetaData()
orders = Table("orders", own, Column("number", Integer, primary_key=True))
booked = Table(
    "booked",
    own,
    Column("n", Integer, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("job_id", Text, nullable=False),
)
engine = create_engine(
    URL.replace("postgresql:", "postgresql+psycopg:"),
    connect_args={"timeout": 60} if URL.startswith("sqlite") else {},
)
app = App(os.environ["TRIAL_APP"], size="small")
RUNGS = dict.fromkeys(("30s", "2m", "10m", "1h", "6h", "1d"), 1)
mail = app.queue("mail", partitions=2, rungs=RUNGS)


@dataclass(frozen=True)
class Order:
    number: int


@app.job(queue=mail, retry=RETRY)
def book(args: Order, ctx: Context) -> None:
    with (FOLDER / "runs").open("a", buffering=1) as runs:
        runs.write(f"{args.number}\n")
    with Session(engine) as session, session.begin(), once(session, ctx) as first:
        if first:
            session.execute(insert(booked).values(number=args.number, job_id=ctx.job_id))
            stand_still_at("effect")
    stand_still_at("committed")


def stand_still_at(place: str) -> None:
    if place == HANG:
        (FOLDER / f"hung-{place}").touch()
        threading.Event().wait()


def serve(first: int, last: int) -> None:
    """What a service does, one order after the other."""
    for number in range(first, last):
        with Session(engine) as session, session.begin():
            session.execute(insert(orders).values(number=number))
            enqueue_in(session, book, Order(number), key=f"customer-{number % KEYS}")
            if number == (first + last) // 2:
                stand_still_at("before the commit")
        if number == (first + last) // 2:
            stand_still_at("after the commit")


def work() -> None:
    from jobstream.roles.process import Roles  # noqa: PLC0415 - not in the other processes

    try:
        Roles(app).run()
    except WorkerStopped:
        logging.getLogger("trial").exception("worker ended")
        leave(REPLACE)


def relay() -> None:
    from jobstream.cli.main import main  # noqa: PLC0415 - as above
    from jobstream.sql import outbox_rows  # noqa: PLC0415 - as above
    from jobstream.sql.row_sending import RowSender  # noqa: PLC0415 - as above

    def hanging(place: str, function: Callable[..., Any], *, behind: bool = False) -> Any:  # noqa: ANN401
        def hang_and_call(*given: Any) -> Any:  # noqa: ANN401 - whatever it takes
            moved = any(given[1:]) and bool(given[1])
            if moved and not behind:
                stand_still_at(place)
            answer = function(*given)
            if moved and behind:
                stand_still_at(place)
            return answer

        return hang_and_call

    RowSender.send = hanging("read", RowSender.send)  # type: ignore[method-assign]
    RowSender.is_told = hanging("published", RowSender.is_told)  # type: ignore[method-assign]
    store = outbox_rows._store  # noqa: SLF001 - the place of the kill
    store = hanging("acknowledged", store)
    outbox_rows._store = hanging("deleted", store, behind=True)  # noqa: SLF001 - as above
    sys.argv = ["jobstream", "relay", "run", "bank:app", "--url", URL, "--log", "plain"]
    main()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    sys.path.insert(0, str(Path(__file__).parent))
    match sys.argv[1:]:
        case ["service", first, last]:
            serve(int(first), int(last))
        case ["worker"]:
            work()
        case ["relay"]:
            relay()
