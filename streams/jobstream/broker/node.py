"""One node of an embedded cluster: its directory, its command line, its process.

It writes the node's settings, formats its storage once, starts it, and shows its log when it
dies. Ports, other nodes and readiness are the cluster's business.
"""

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jobstream.broker.broker_process import AttendedJvm, Jvm, start_detached
from jobstream.broker.broker_settings import NodeAddress, as_properties, node_settings
from jobstream.broker.errors import BrokerStartError, BrokerStateError


@dataclass(frozen=True, slots=True)
class Launch:
    """Settings that the nodes of a cluster share when they start."""

    java: Path
    jars: tuple[Path, ...]
    heap_mb: int
    cluster_id: str
    detached: bool
    # What holds the cluster's directory; each node has a copy of it.
    claim: int
    # What a killed program leaves to be removed: the cluster's temporary directory, if it is one.
    scratch: Path | None


class Node:
    """One broker and controller in a directory of its own."""

    def __init__(self, address: NodeAddress, directory: Path, launch: Launch) -> None:
        """Describe the node; nothing is written or started yet."""
        self.address = address
        self.directory = directory
        self._launch = launch
        self._jvm: Jvm | None = None

    @property
    def log(self) -> Path:
        """The log file that Kafka writes."""
        return self.directory / "server.log"

    @property
    def output(self) -> Path:
        """File with the output of the JVM: its last words if it could not start."""
        return self.directory / "stdout.log"

    @property
    def pid(self) -> int | None:
        """Process id of the running JVM, `None` if there is none."""
        return self._jvm.pid if self._jvm and self.is_running() else None

    @property
    def jvm(self) -> Jvm | None:
        """The process that was started last, running or not; `None` before the first start."""
        return self._jvm

    def is_running(self) -> bool:
        """Whether the process exists; a frozen one does."""
        return self._jvm is not None and self._jvm.is_running()

    def prepare(self, cluster: Sequence[NodeAddress]) -> None:
        """Write the settings and, the first time, format the storage; blocks about a second.

        Raises `BrokerStartError` with Kafka's words when formatting fails.
        """
        (self.directory / "tmp").mkdir(parents=True, exist_ok=True)
        data = self.directory / "data"
        logging = resources.files("jobstream.broker").joinpath("log4j2.properties")
        (self.directory / "log4j2.properties").write_text(logging.read_text("utf-8"))
        settings = node_settings(self.address, tuple(cluster), data)
        self._settings_file.write_text(as_properties(settings), encoding="utf-8")
        if not (data / "meta.properties").exists():
            self._format()

    def start(self) -> None:
        """Start the JVM; returns when the process exists, long before it serves."""
        if self.is_running():
            message = f"node {self.address.node} is running already: stop or kill it first"
            raise BrokerStateError(message)
        command = [*self._java("kafka.Kafka"), str(self._settings_file)]
        if self._launch.detached:
            self._jvm = start_detached(command, self._launch.claim, output=self.output)
        else:
            self._jvm = AttendedJvm(
                command, self._launch.claim, output=self.output, scratch=self._launch.scratch
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the JVM; raises `BrokerStateError` if the node does not run."""
        self._running().signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        jvm = self._running()
        jvm.signal(signal.SIGKILL)
        jvm.wait(float("inf"))

    def check_running(self) -> None:
        """Raise `BrokerStartError` with its last words if the process has ended."""
        if not self.is_running():
            why = last_words(_text_of(self.log), _text_of(self.output))
            message = f"node {self.address.node} ended (log: {self.log}):\n{why}"
            raise BrokerStartError(message)

    def _running(self) -> Jvm:
        if self._jvm is None or not self._jvm.is_running():
            message = f"node {self.address.node} is not running: start or restart it first"
            raise BrokerStateError(message)
        return self._jvm

    @property
    def _settings_file(self) -> Path:
        return self.directory / "server.properties"

    def _java(self, main: str) -> list[str]:
        return [
            str(self._launch.java),
            f"-Xmx{self._launch.heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            # Compression libraries unpack themselves here, and the directory goes with the node.
            f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            f"-Djobstream.log.file={self.log}",
            f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}",
            "-cp",
            ":".join(str(jar) for jar in self._launch.jars),
            main,
        ]

    def _format(self) -> None:
        command = [*self._java("kafka.tools.StorageTool"), "format", "--cluster-id"]
        command += [self._launch.cluster_id, "--config", str(self._settings_file)]
        done = subprocess.run(  # noqa: S603  # our own command line
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            message = f"cannot format {self.directory}: {done.stderr.strip() or done.stdout}"
            raise BrokerStartError(message)


_TELLING = (" FATAL ", " ERROR ", "Exception: ", "Exception in thread", "Caused by: ", "Error: ")
_LINES_MAX = 8


def last_words(log: str, output: str) -> str:
    """The last telling lines of Kafka's `log`, or else the end of what the JVM printed.

    A log ends with many lines of orderly shutdown, whose cause stands far above them.
    """
    lines = (log + "\n" + output).splitlines()
    told = [line.strip() for line in lines if any(sign in line for sign in _TELLING)]
    chosen = list(dict.fromkeys(told)) or output.splitlines() or ["it said nothing"]
    return "\n".join(chosen[-_LINES_MAX:])


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
