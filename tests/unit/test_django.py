"""A real Django in a process of its own: a job whose connection broke harms no later one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 300
PROGRAM = """
import asyncio, json, sys, threading
from dataclasses import dataclass

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.signals import request_finished, request_started

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}}
)
django.setup()
from django.db import connection, connections

from jobstream import App, Backoff
from jobstream.testing import memory

app = App("site")
told = []
once = Backoff(attempts=1)

@dataclass(frozen=True)
class Args:
    breaks: bool

def queries(breaks):
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    if breaks:
        connection.connection.close()  # as a database that goes away, under Django's feet
    told.append(threading.current_thread().name)

@app.job(retry=once)
def in_thread(args: Args) -> None:
    queries(args.breaks)

@app.job(retry=once)
async def on_loop(args: Args) -> None:
    await sync_to_async(queries)(args.breaks)

@app.job(retry=once)
async def waits(args: Args) -> None:
    if args.breaks:
        await sync_to_async(blocked.wait)(3)
    else:
        await sync_to_async(blocked.set)()

def fails(**said):
    raise ValueError("a receiver of the service")

def counts(**said):
    told.append("finished")

blocked = threading.Event()
request_started.connect(fails)
request_finished.connect(counts)

with memory(app) as jobs:
    ends = {}
    for job in (in_thread, on_loop):
        sent = []
        for breaks in (True, False, False):
            sent.append(job.enqueue(Args(breaks)))
            jobs.run_until_idle()
        ends[job.name] = [jobs.seen(one)[0].state for one in sent]
    # One job waits in a thread of Django's, and the other is to end its wait.
    sent = [waits.enqueue(Args(breaks)) for breaks in (True, False)]
    jobs.run_until_idle()
    ends["waits"] = [jobs.seen(one)[0].state for one in sent]
print(json.dumps({"ends": ends, "finished": told.count("finished")}))
"""


def run(folder: Path, switch: str) -> dict[str, object]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder / "db.sqlite3")],
        env={**os.environ, "JOBSTREAM_DJANGO": switch},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, object] = json.loads(ran.stdout)
    return told


def test_jobs_go_on_after_the_database_dropped_a_connection(tmp_path: Path) -> None:
    told = run(tmp_path, "on")

    done = ["done"] * 3
    assert told["ends"] == {"in_thread": done, "on_loop": done, "waits": ["done", "done"]}
    assert told["finished"] == 8


def test_switched_off_a_broken_connection_stays(tmp_path: Path) -> None:
    told = run(tmp_path, "off")

    ends = told["ends"]
    assert isinstance(ends, dict)
    assert ends["in_thread"] == ["done", "dead", "dead"]
    assert told["finished"] == 0
