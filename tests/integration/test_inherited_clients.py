"""What a forked child inherits of the client library ends nobody: neither the child nor itself."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka

LIMIT_S = 120

PROGRAM = """
import gc, os, sys
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from jobstream.kafka.client.construct import made, outsider

options = {"bootstrap.servers": sys.argv[1]}
reader = outsider(options, {})
reader.list_topics(timeout=60)
reader.assign([TopicPartition("__consumer_offsets", 0, 0)])
reader.poll(1.0)
asking, sending = made(AdminClient, options), made(Producer, options)
asking.list_topics(timeout=60), sending.list_topics(timeout=60)
if os.fork() == 0:
    del reader, asking, sending
    gc.collect()
    print("the child goes on", flush=True)
    sys.exit(0)
_, status = os.wait()
reader.poll(0.1)
print("the child ended by", status, "and ours work:", len(asking.list_topics(timeout=60).brokers))
"""


def test_a_child_that_lets_go_of_inherited_clients_goes_on(kafka: EmbeddedKafka) -> None:
    command = [sys.executable, "-c", PROGRAM, kafka.bootstrap_servers]

    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    assert done.stdout.splitlines() == [
        "the child goes on",
        "the child ended by 0 and ours work: 1",
    ], done.stderr[-2_000:]
