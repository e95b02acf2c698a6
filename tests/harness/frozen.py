"""A group member in a process of its own, frozen and thawed by signals, as a paused machine is.

The parent starts, stops and ends it; the child polls and prints what its listener hears.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import IO

from tests.harness.member import Member

from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.consume.source import KafkaSource

END_S = 60.0


class FrozenProcess:
    """The child. Used by one thread; blocks on what the child prints."""

    def __init__(self, bootstrap_servers: str, group: str, topic: str, protocol: str) -> None:
        arguments = [bootstrap_servers, group, topic, protocol]
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments], stdout=subprocess.PIPE, text=True
        )
        self._heard: list[str] = []
        self._read_until("assigned")

    def freeze(self) -> None:
        """Stand still; the broker notices when the session is over."""
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> list[str]:
        """Go on; returns what the child heard until it heard of a loss, blocking until then."""
        self._child.send_signal(signal.SIGCONT)
        self._read_until("lost")
        return self._heard

    def close(self) -> None:
        """End the child, frozen or not."""
        self._child.kill()
        self._child.wait(END_S)
        self._output.close()

    @property
    def _output(self) -> IO[str]:
        assert self._child.stdout is not None
        return self._child.stdout

    def _read_until(self, what: str) -> None:
        for line in self._output:
            self._heard.append(line.strip())
            if self._heard[-1] == what:
                return
        message = f"the child ended before it heard {what!r}; it heard {self._heard}"
        raise EOFError(message)


def _poll_and_print(bootstrap_servers: str, group: str, topic: str, protocol: str) -> None:
    options = {"bootstrap.servers": bootstrap_servers}
    source = KafkaSource(options, group, [topic], BrokerClock(), protocol=protocol)
    member = Member(source)
    source.listen(member)
    told = 0
    while True:
        member.turn(0.1)
        for heard in member.heard[told:]:
            sys.stdout.write(f"{heard.what}\n")
        sys.stdout.flush()
        told = len(member.heard)


if __name__ == "__main__":
    _poll_and_print(*sys.argv[1:])
