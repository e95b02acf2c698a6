"""A queue as declared: refused where it can't work, planned into topics where it can."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from jobstream.errors import ConfigError
from jobstream.job_queue import Queue


def test_the_plan_of_a_plain_queue() -> None:
    plan = Queue("mail").plan("shop")

    assert (plan.topic, plan.dlq, plan.dedup) == ("shop.mail", "shop.mail.dlq", "shop.mail.dedup")
    assert (plan.partitions, plan.window_ms) == (12, 86_400_000)
    assert plan.rungs["5s"] == ("shop.mail.retry.5s", 12)
    assert (plan.slo_ms, plan.weight) == (300_000, 1)


def test_a_job_comes_back_to_its_partition_by_way_of_a_smaller_rung() -> None:
    plan = Queue("mail", partitions=10, rungs={"5s": 4}).plan("shop")

    assert plan.rung(7_000, destination=9) == ("shop.mail.retry.5s", 1)
    assert plan.rung(30_000, destination=9) == ("shop.mail.retry.30s", 9)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"name": "Mail"}, "queue name 'Mail' is refused"),
        ({"name": "a.b"}, "queue name 'a.b' is refused"),
        ({"name": "offsets"}, "reserved"),
        ({"name": "schemas"}, "reserved"),
        ({"name": "schedules"}, "reserved"),
        ({"name": "control"}, "reserved"),
        ({"partitions": 0}, "queue 'mail': partitions=0"),
        ({"partitions": True}, "partitions=True"),
        ({"partitions": "12"}, "partitions='12'"),
        ({"retention": "59s"}, "queue 'mail': retention='59s' is outside 1m .. 3650d"),
        ({"retention": "two weeks"}, "queue 'mail': retention='two weeks' is not a duration"),
        ({"dedup": 0}, "queue 'mail': dedup=0 is outside 1m .. 3650d"),
        ({"slo": "1ms"}, "queue 'mail': slo='1ms' is outside 1s .. 3650d"),
        ({"weight": 0}, "queue 'mail': weight=0: give a whole number from 1 to 100"),
        ({"weight": 0.2}, "queue 'mail': weight=0.2: such a share rounds to nothing"),
        ({"slo": "soon"}, "queue 'mail': slo='soon' is not a duration"),
        (
            {"rungs": {"7s": 1}},
            "queue 'mail': rungs names '7s', which is not a rung: use one of 0s, 5s",
        ),
        ({"rungs": {"1d": 0}}, "queue 'mail': rungs['1d']=0"),
        ({"rungs": {"1d": 13}}, "at most the queue's 12"),
    ],
)
def test_what_cannot_work_is_refused_by_name(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(part)):
        Queue(**{"name": "mail"} | options)


def test_a_plan_needs_a_good_app_name() -> None:
    with pytest.raises(ConfigError, match="app name 'My Shop' is refused"):
        Queue("mail").plan("My Shop")


def test_durations_may_be_given_in_any_form() -> None:
    queue = Queue("mail", retention=timedelta(days=2), dedup=3_600)

    assert (queue.retention_ms, queue.dedup_ms) == (172_800_000, 3_600_000)


def test_a_declared_queue_does_not_change_with_its_caller() -> None:
    rungs = {"1d": 1}
    queue = Queue("mail", rungs=rungs)
    rungs["1d"] = 99

    assert queue.rung_partitions["1d"] == 1
    assert queue == Queue("mail", rungs={"1d": 1})
    assert hash(queue) == hash(Queue("mail", rungs={"1d": 1}))
