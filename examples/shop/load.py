"""A steady load with trouble in it, until SIGTERM: `python -m examples.shop.load`.

It is a service as users write them: it enqueues, and exposes what the client counted in a registry
of its own, at SHOP_METRICS (host:port). What it sends in a second is a pure function of the second,
so that two runs look alike.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from examples.shop.app import (
    CountCrash,
    Picture,
    Receipt,
    Trouble,
    app,
    charge_card,
    resize_picture,
    send_receipt,
)
from prometheus_client import CollectorRegistry, start_http_server

from jobstream import JobstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("shop.load")

BURST_EVERY_S = 60
BURST = 300
"""Pictures that arrive at once: ten slots are busy with them for half a minute, and mail waits."""
CUSTOMERS = 40
LEAVE_AT = {signal.SIGTERM, signal.SIGINT}


class Second(NamedTuple):
    """What arrives in one second."""

    receipts: list[Receipt]
    pictures: list[Picture]
    charges: list[CountCrash]


def arrivals(second: int, rate: float) -> Second:
    """What arrives in that second; `rate` 1 is about twenty jobs."""
    dice = Random(second)  # noqa: S311 - a load, no secret

    def trouble(flaky: float, broken: float) -> Trouble:
        thrown = dice.random()
        return "broken" if thrown < broken else "flaky" if thrown < broken + flaky else "none"

    receipts = [
        Receipt(f"o-{second}-{n}", dice.randint(5, 60), trouble(0.05, 0.002))
        for n in range(round(14 * rate))
    ]
    pictures = [
        Picture(f"p-{second}-{n}", dice.randint(200, 1_600))
        for n in range(round(rate) + (round(BURST * rate) if second % BURST_EVERY_S == 0 else 0))
    ]
    charges = [
        CountCrash(f"c-{dice.randrange(CUSTOMERS)}", dice.randint(100, 9_900), trouble(0.03, 0.01))
        for _ in range(round(5 * rate))
    ]
    return Second(receipts, pictures, charges)


def send(second: Second) -> None:
    """Enqueue it all; what Kafka does not take is logged and not sent again."""
    try:
        send_receipt.enqueue_many(second.receipts)
        resize_picture.enqueue_many(second.pictures)
        charge_card.enqueue_many(second.charges, key=lambda charge: charge.customer)
    except JobstreamError:
        log.exception("not_enqueued")


def main(arguments: Sequence[str] | None = None) -> int:
    """Send until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop.load", description=__doc__)
    parser.add_argument("--rate", type=float, default=1.0, help="1 is about twenty jobs a second")
    options = parser.parse_args(arguments)
    # Blocked before the first thread starts, so that they are waited for here and nowhere else.
    signal.pthread_sigmask(signal.SIG_BLOCK, LEAVE_AT)
    registry = CollectorRegistry()
    registry.register(app.metrics())
    host, _, port = os.environ.get("SHOP_METRICS", "127.0.0.1:9465").rpartition(":")
    start_http_server(int(port), host, registry)
    second = 1
    began = time.monotonic()
    while not signal.sigtimedwait(LEAVE_AT, max(0.0, began + second - time.monotonic())):
        send(arrivals(second, options.rate))
        second += 1
    app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
