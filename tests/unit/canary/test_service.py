"""A canary that reaches no broker: what it counts, and what it says of itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream.canary.service import Canary
from jobstream.observe.health import holds
from jobstream.operate.layout import QueueTopics
from jobstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 120
MAIL = QueueTopics(
    name="mail",
    topic="shop.mail",
    dlq="shop.mail.dlq",
    dedup="shop.mail.dedup",
    rungs={},
    counts={"shop.mail": 3, "shop.mail.dlq": 3, "shop.mail.dedup": 3},
)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    """One whose broker is a port where nobody listens."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        settings = Settings.load(
            {},
            bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}",
            state_dir=tmp_path,
            enqueue_timeout="1s",
            kafka={"log_level": 2},
        )
        yield Canary("shop", settings, [MAIL], interval_s=60, timeout_s=1)


def test_without_a_broker_the_enqueue_fails_and_it_is_unready_and_alive(canary: Canary) -> None:
    before = canary.probes()
    assert not holds(before.started())
    canary.start()
    try:
        wait_until(lambda: holds(before.started()), "the first probe has ended", limit_s=LIMIT_S)
        probes = canary.probes()

        assert holds(probes.live())
        (ready,) = probes.ready()
        assert not ready.ok
        assert "shop.mail.dedup" in ready.why
        assert probes.status() == {
            "queues": {
                "mail": {
                    "last_success_s_ago": pytest.approx(0, abs=LIMIT_S),
                    "last_failure": "enqueue",
                }
            }
        }
    finally:
        canary.stop()
