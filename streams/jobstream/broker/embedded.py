"""A cluster of one or more real Kafka nodes on this machine, as one object with a life.

It chooses ports, starts the nodes side by side, waits until they serve, breaks them on request, and
takes everything down again.
"""

import atexit
import base64
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from jobstream.broker.broker_folder import claimed, give_up_claim, made
from jobstream.broker.broker_process import DetachedJvm, end_all
from jobstream.broker.errors import BrokerStartError, BrokerStateError, NoSuchNodeError
from jobstream.broker.free_ports import choose_addresses
from jobstream.broker.jars import kafka_jars
from jobstream.broker.java import java_executable
from jobstream.broker.node import Launch, Node
from jobstream.broker.ready import wait_until_in_sync, wait_until_serving

START_LIMIT_S = 90.0
STOP_GRACE_S = 10.0
SCRATCH_GRACE_S = 2.0
_PORT_ATTEMPTS = 3
_NODES_MAX = 9


class EmbeddedKafka:
    """Real Apache Kafka, KRaft mode, every node broker and controller, listening on 127.0.0.1.

    `with EmbeddedKafka() as kafka: ... kafka.bootstrap_servers`. With a `directory`, data and
    logs stay there after `stop()` and a later start finds them; without one, both are removed.
    Nodes are numbered from 1. With `port`, node 1 serves clients there and the others on the
    numbers that follow. No process outlives this one, however it ends, unless `detached`.
    One thread at a time may use it.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        port: int | None = None,
        directory: Path | None = None,
        heap_mb: int = 384,
        detached: bool = False,
    ) -> None:
        """Describe the cluster; nothing is looked up, written or started before `start()`."""
        if not 1 <= nodes <= _NODES_MAX:
            message = f"nodes={nodes}: an embedded cluster has 1 to {_NODES_MAX} nodes"
            raise NoSuchNodeError(message)
        if detached and directory is None:
            message = "a detached broker needs a directory of its own: pass directory="
            raise BrokerStateError(message)
        self._count = nodes
        self._port = port
        self._kept = directory.absolute() if directory else None
        self._heap_mb = heap_mb
        self._detached = detached
        self._owner = 0
        self._directory: Path | None = None
        self._nodes: tuple[Node, ...] = ()
        self._claim: int | None = None

    def __enter__(self) -> Self:
        """Start the cluster, as `start()` does."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the cluster, as `stop()` does."""
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """`host:port,…` of all nodes, dead ones included; they keep their ports over a restart."""
        return ",".join(node.address.bootstrap for node in self._started())

    @property
    def pids(self) -> list[int]:
        """Process ids of the JVMs that run now, in node order; frozen ones included."""
        return [node.pid for node in self._nodes if node.pid is not None]

    @property
    def logs(self) -> list[Path]:
        """Each node's log file, in node order; gone after `stop()` unless a directory is kept."""
        return [node.log for node in self._started()]

    @property
    def directory(self) -> Path:
        """Where the nodes keep settings, data and logs."""
        self._started()
        assert self._directory is not None, "a started cluster has a directory"  # noqa: S101
        return self._directory

    def detached_jvms(self) -> list[DetachedJvm]:
        """The processes of a detached cluster, to be found again later; empty if attended."""
        return [node.jvm for node in self._nodes if isinstance(node.jvm, DetachedJvm)]

    def start(self, *, on_launch: Callable[[], None] = lambda: None) -> None:
        """Start all nodes; blocks until each is registered and serves (first use: + download).

        `on_launch` is called when all processes exist and none serves yet. Raises
        `BrokerStartError` with the words of a log, `PortInUseError`, `BrokerDirectoryError`,
        `JarMismatchError`, `MissingDependencyError`, or `BrokerStateError` if it is started
        already; whatever it raises, nothing is left running.
        """
        if self._nodes:
            message = "this cluster is started already: stop() it first"
            raise BrokerStateError(message)
        java, jars = java_executable(), tuple(kafka_jars())
        self._directory = made(self._kept or Path(tempfile.mkdtemp(prefix="jobstream-kafka-")))
        self._claim = claimed(self._directory)
        launch = Launch(
            java=java,
            jars=jars,
            heap_mb=self._heap_mb,
            cluster_id=self._cluster_id(),
            detached=self._detached,
            claim=self._claim,
            scratch=None if self._kept else self._directory,
        )
        self._owner = os.getpid()
        if not self._detached:
            atexit.register(self.stop)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                self._start_once(launch, on_launch)
            except BrokerStartError as error:
                # Another process took a chosen port between our look and Kafka's bind.
                lost_race = self._port is None and "Address already in use" in str(error)
                if not lost_race or attempt == _PORT_ATTEMPTS:
                    self.stop()
                    raise
                self._end_nodes()
            except BaseException:
                self.stop()
                raise
            else:
                if self._detached:
                    os.close(self._claim)  # The brokers hold it from here on, without us.
                    self._claim = None
                return

    def _start_once(self, launch: Launch, on_launch: Callable[[], None]) -> None:
        addresses = choose_addresses(self._count, self._port)
        root = self._directory
        assert root is not None, "start() chose the directory"  # noqa: S101
        self._nodes = tuple(
            Node(address, root / f"node-{address.node}", launch) for address in addresses
        )
        with ThreadPoolExecutor(len(self._nodes)) as pool:
            list(pool.map(lambda node: node.prepare(addresses), self._nodes))
        for node in self._nodes:
            node.start()
        on_launch()
        everyone = frozenset(node.address.node for node in self._nodes)
        deadline = time.monotonic() + START_LIMIT_S
        for node in self._nodes:
            self._wait_for(node, everyone, deadline)

    def _wait_for(self, node: Node, expected: frozenset[int], deadline: float) -> None:
        wait_until_serving(
            node.address.bootstrap, expected, deadline=deadline, still_running=node.check_running
        )

    def stop(self) -> None:
        """End every node: SIGTERM, and SIGKILL after 10 s, or 2 s if its data is temporary.

        Removes a temporary directory. Blocks until no process is left. May be called at any
        time, also twice. In a forked child it does nothing: the cluster is its parent's.
        """
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.stop)
        self._end_nodes()
        if self._directory is not None and self._kept is None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None
        if self._claim is not None:
            give_up_claim(self._claim)
            self._claim = None

    def _end_nodes(self) -> None:
        # Data that is about to be removed needs no time to be closed well.
        grace_s = STOP_GRACE_S if self._kept else SCRATCH_GRACE_S
        end_all([node.jvm for node in self._nodes if node.jvm], grace_s=grace_s)
        self._nodes = ()

    def kill(self, node: int) -> None:
        """End a node with SIGKILL, as a power cut would; returns when its process is gone.

        The others notice after the broker session of 3 s. Raises `BrokerStateError` if the
        node is dead already.
        """
        self._node(node).kill()

    def restart(self, node: int) -> None:
        """Start a dead node on its old ports and data; blocks until it serves again.

        Its return does not prove that its replicas are in sync; see `wait_in_sync`. Raises
        `BrokerStartError`, or `BrokerStateError` if the node runs.
        """
        chosen = self._node(node)
        chosen.start()
        self._wait_for(chosen, frozenset({node}), time.monotonic() + START_LIMIT_S)

    def freeze(self, node: int) -> None:
        """Suspend a node with SIGSTOP: it keeps its connections and answers nothing."""
        self._node(node).signal(signal.SIGSTOP)

    def thaw(self, node: int) -> None:
        """Let a frozen node go on."""
        self._node(node).signal(signal.SIGCONT)

    def wait_in_sync(self, *, limit_s: float = START_LIMIT_S) -> None:
        """Block until every node sees all nodes alive and all replicas in sync.

        For a test that broke a shared cluster and repaired it. Raises `BrokerStartError` after
        `limit_s`.
        """
        nodes = self._started()
        wait_until_in_sync(
            [node.address.bootstrap for node in nodes],
            frozenset(node.address.node for node in nodes),
            deadline=time.monotonic() + limit_s,
        )

    def _started(self) -> tuple[Node, ...]:
        if not self._nodes:
            message = "this cluster is not started: use `with EmbeddedKafka() as kafka`"
            raise BrokerStateError(message)
        return self._nodes

    def _node(self, number: int) -> Node:
        nodes = self._started()
        if not 1 <= number <= len(nodes):
            message = f"there is no node {number}: this cluster has nodes 1 to {len(nodes)}"
            raise NoSuchNodeError(message)
        return nodes[number - 1]

    def _cluster_id(self) -> str:
        assert self._directory is not None, "start() chose the directory"  # noqa: S101
        kept = self._directory / "cluster.id"
        if not kept.exists():
            # Kafka's form of an id: 16 random bytes in URL-safe base64 without padding.
            # The first byte is set so that none begins with "-", which Kafka's tool reads as an
            # option: one in 64 would.
            raw = base64.urlsafe_b64encode(b"\x6a" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
            kept.write_text(raw, encoding="utf-8")
        return kept.read_text(encoding="utf-8")
