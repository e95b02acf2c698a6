"""The estimate of disk: worked out by hand for a load, and growing with each factor."""

from __future__ import annotations

from dataclasses import replace

from jobstream.job_queue import Queue
from jobstream.topics.disk import COPY_BYTES, ROW_BYTES, Load, disk
from jobstream.topics.specs import specs

DAY_S = 86_400
LOAD = Load(rate_per_s=100, job_bytes=1_000, delayed=0.1, dead=0.01)


def test_by_hand() -> None:
    used = disk(specs("shop", [Queue("mail")], 3), LOAD)

    queue_s = 14 * DAY_S + 14 * DAY_S / 24
    assert used["shop.mail"] == round(100 * 1_000 * queue_s * 3)
    assert used["shop.mail.dedup"] == round(100 * ROW_BYTES * (36 + 1.5) * 3_600 * 3)
    rung_s = 15 * DAY_S + 15 * DAY_S / 24
    assert used["shop.mail.retry.1d"] == round(10 * (1_000 + COPY_BYTES) * rung_s * 3)
    assert used["shop.mail.dlq"] == round(1 * (1_000 + COPY_BYTES) * 31 * DAY_S * 3)
    assert used["shop.offsets"] == 2 * 16 * 2**20 * 3


def test_every_topic_is_counted_and_each_factor_counts() -> None:
    made = specs("shop", [Queue("mail")], 1)
    used = disk(made, LOAD)

    assert used.keys() == {spec.name for spec in made}
    assert disk(specs("shop", [Queue("mail")], 3), LOAD) == {n: 3 * b for n, b in used.items()}
    twice = disk(made, replace(LOAD, rate_per_s=200))
    assert twice["shop.mail"] == 2 * used["shop.mail"]
    longer = disk(specs("shop", [Queue("mail", retention="28d")], 1), LOAD)
    assert longer["shop.mail"] > 1.9 * used["shop.mail"]
