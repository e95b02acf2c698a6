"""Broker time for a command, which has published nothing that would tell it.

It publishes a record without a meaning, as an idle delayer does.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from jobstream.errors import BrokerUnavailable
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.topics.names import offsets_topic
from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import CLOCK_KEY, Outgoing

if TYPE_CHECKING:
    from jobstream.operate.view import AppView


def broker_clock(view: AppView) -> BrokerClock:
    """A clock that has broker time; this machine's where the app has no topics.

    Blocks until a tombstone among the mirrors is acknowledged. Raises BrokerUnavailable where that
    can't be had within two minutes or may not be written.
    """
    topic, clock = offsets_topic(view.app), BrokerClock()
    if not view.counts.get(topic):
        return clock
    with closing(KafkaSink(view.options, clock)) as sink:
        try:
            sink.publish([Outgoing(topic, CLOCK_KEY, None)])
        except PublishFailed as error:
            message = (
                f"a length of time counts from broker time, which is not known: {error}; give a "
                "moment instead, as in 2026-01-31T12:00Z"
            )
            raise BrokerUnavailable(message) from error
    return clock
