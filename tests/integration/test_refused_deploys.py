"""A deploy that cannot read what waits, by commands on a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.harness.patience import LOOKS_FOR_LONG
from tests.integration.by_command import WAIT_S, Worker
from tests.spoken import Spoken

if TYPE_CHECKING:
    from tests.integration.by_command import Shop

pytestmark = pytest.mark.kafka

SECRET = "hunter2"  # noqa: S105 - of nobody


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """One whose starts look for as long as it takes."""
    with (shop.folder / "shop.py").open("a") as code:
        code.write(LOOKS_FOR_LONG)
    return shop


def deploy(shop: Shop, field: str) -> None:
    """The next version of the code: one field more."""
    code = (shop.folder / "shop.py").read_text()
    head, _, rest = code.partition("    order_id: str\n")
    (shop.folder / "shop.py").write_text(f"{head}    order_id: str\n    {field}\n{rest}")


def test_a_field_without_a_default_is_refused_until_it_has_one(shop: Shop) -> None:
    shop.run("topics", "apply", "shop:app")
    shop.enqueue(SECRET)
    worker = Worker(shop)
    try:
        worker.hear(f"sent {SECRET}")
    finally:
        assert worker.drain() == 0
    shop.enqueue(SECRET)
    before = (shop.folder / "shop.py").read_text()

    deploy(shop, "language: str")
    said = shop.run("worker", "shop:app", code=3)
    assert "1 of the 1 jobs looked at: send_receipt:" in said
    assert "args.language: was not written, and has no default" in said
    assert "--allow-undecodable" in said
    assert SECRET not in said

    worker = Worker(shop, "--allow-undecodable")
    try:
        (line,) = worker.hear("jobs_undecodable")
        assert json.loads(line)["looked_at"] == 1
        worker.hear("job_waits_for_code")
    finally:
        assert worker.drain() == 0

    (shop.folder / "shop.py").write_text(before)
    deploy(shop, 'language: str = "de"')
    worker = Worker(shop)
    try:
        worker.hear(f"sent {SECRET}")
    finally:
        assert worker.drain() == 0
    assert not any("undecodable" in line or "not_looked_at" in line for line in worker.said)


def test_dev_shows_the_refusal_and_starts_once_the_code_is_mended(shop: Shop) -> None:
    shop.run("topics", "apply", "shop:app")
    shop.enqueue("o-1")
    before = (shop.folder / "shop.py").read_text()
    deploy(shop, "language: str")
    dev = Spoken(
        subprocess.Popen(
            [sys.executable, "-m", "jobstream", "dev", "shop:app"],
            cwd=shop.folder,
            env=shop.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ),
        WAIT_S,
    )
    try:
        dev.hear("worker  | jobstream: jobs wait that this code cannot read:")
        dev.hear("worker  |   1 of the 1 jobs looked at: send_receipt:")
        dev.hear("worker  | Make the code read them: give each new field a default")
        (shop.folder / "shop.py").write_text(before)
        dev.hear("sent o-1")
    finally:
        dev.process.send_signal(signal.SIGTERM)
        dev.process.wait(WAIT_S)
