"""Services that gevent or eventlet has patched enqueue; a worker refuses to run in one."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from jobstream import App
from jobstream.cli.commands.topics import survey_app
from jobstream.kafka.client.admin import Admin
from jobstream.topics.apply import apply

if TYPE_CHECKING:
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

WAIT_S = 180
PATCHES = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
# Patched before the import or, as some services do it, after it.
SERVICE = """
{early}
import os, threading
from dataclasses import dataclass
from jobstream import App
{late}
app = App(os.environ["GREEN_APP"], enqueue_timeout="60s", metrics_port="off")
queue = app.queue("mail", partitions=1)

@dataclass(frozen=True)
class Receipt:
    number: int

@app.job(queue=queue)
def send(args: Receipt) -> None: ...

if __name__ == "__main__":
    ids = []
    threads = [
        threading.Thread(target=lambda n=n: ids.append(send.enqueue(Receipt(n)).job_id))
        for n in range(20)
    ]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    ids += send.enqueue_many([Receipt(n) for n in range(500)])
    app.close()
    print(len(ids))
"""


@pytest.fixture(scope="module")
def environ(kafka: EmbeddedKafka) -> dict[str, str]:
    name = f"green-{uuid.uuid4().hex[:8]}"
    app = App(name, bootstrap_servers=kafka.bootstrap_servers, replication=1)
    app.queue("mail", partitions=1)
    admin = Admin(app.settings)
    apply(survey_app(app, admin), admin)
    return os.environ | {
        "GREEN_APP": name,
        "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
    }


def ran(
    folder: Path, environ: dict[str, str], code: str, *words: str
) -> subprocess.CompletedProcess[str]:
    (folder / "service.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.mark.parametrize("moment", ["early", "late"])
@pytest.mark.parametrize("library", PATCHES)
def test_a_patched_service_enqueues(
    tmp_path: Path, environ: dict[str, str], library: str, moment: str
) -> None:
    patch = {"early": "", "late": "", moment: PATCHES[library]}

    done = ran(tmp_path, environ, SERVICE.format(**patch), "service.py")

    assert done.stdout.strip() == "520", done.stderr


@pytest.mark.parametrize("library", PATCHES)
@pytest.mark.parametrize(
    "command",
    [
        ["worker", "service:app"],
        ["worker", "service:app", "--processes", "2"],
        ["dev", "service:app"],
    ],
    ids=["alone", "supervised", "dev"],
)
def test_a_worker_refuses_and_says_the_way_out(
    tmp_path: Path, environ: dict[str, str], library: str, command: list[str]
) -> None:
    code = SERVICE.format(early=PATCHES[library], late="")

    refused = ran(tmp_path, environ, code, "-m", "jobstream", *command)

    assert refused.returncode == 1
    assert f"{library} has patched this process" in refused.stderr
