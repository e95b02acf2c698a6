"""Picks ports for a new cluster and says which asked-for port is taken.

A port that is free now may be taken a moment later: the answer is a good guess, and the start
of the broker is the proof. It holds no socket open after it returns.
"""

import errno
import random
import re
import socket

from jobstream.broker.broker_settings import HOST, NodeAddress
from jobstream.broker.errors import PortInUseError

# Below the range from which Linux takes ports for outgoing connections (32768 and up), so that
# no client connection sits on a node's port while that node is dead and about to restart.
_LOWEST, _HIGHEST = 15_000, 32_000
_TRIES = 500
_LOCAL = re.compile(r"(?:127\.0\.0\.1|localhost):(\d{1,5})")


def choose_addresses(nodes: int, port: int | None) -> tuple[NodeAddress, ...]:
    """Addresses for `nodes` nodes; clients get `port`, `port + 1`, … or, without it, any free.

    Raises `PortInUseError` naming the port that is taken.
    """
    wanted = [] if port is None else [port + i for i in range(nodes)]
    for number in wanted:
        refuse_taken(number)
    free = _free_ports(2 * nodes - len(wanted), avoid=wanted)
    clients, controllers = (wanted + free)[:nodes], (wanted + free)[nodes:]
    return tuple(
        NodeAddress(node=i + 1, port=clients[i], controller_port=controllers[i])
        for i in range(nodes)
    )


def some_free_port() -> int:
    """A port that nobody listens on now."""
    return _free_ports(1, avoid=[])[0]


def local_port(servers: str) -> int | None:
    """The port, if `servers` is one address of this machine."""
    found = _LOCAL.fullmatch(servers)
    return int(found[1]) if found else None


def refuse_taken(port: int) -> None:
    """Raise `PortInUseError` if `port` of this machine is taken now."""
    if not _is_free(port):
        message = (
            f"port {port} in use: stop what listens on it, or choose another port "
            "(`jobstream broker up --port N`, EmbeddedKafka(port=N), for `jobstream dev` "
            "JOBSTREAM_BOOTSTRAP_SERVERS=127.0.0.1:N)"
        )
        raise PortInUseError(message)


def is_taken(port: int) -> bool:
    """Whether somebody listens on that port of this machine now."""
    return not _is_free(port)


def _free_ports(count: int, avoid: list[int]) -> list[int]:
    found: list[int] = []
    dice = random.SystemRandom()
    for _ in range(_TRIES):
        if len(found) == count:
            return found
        number = dice.randint(_LOWEST, _HIGHEST)
        if number not in found and number not in avoid and _is_free(number):
            found.append(number)
    message = f"no {count} free ports between {_LOWEST} and {_HIGHEST}: stop some servers"
    raise PortInUseError(message)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As a server would: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True
