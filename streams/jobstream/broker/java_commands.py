"""A broker that stays up between commands: started, asked about and stopped by plain functions.

What is needed to find it again is kept in `state.json` of the broker's state directory. It ends
only processes that the state file names by number and start time.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from jobstream.broker.broker_folder import exclusive
from jobstream.broker.broker_process import DetachedJvm, end_all
from jobstream.broker.data_places import broker_state_directory
from jobstream.broker.embedded import STOP_GRACE_S, EmbeddedKafka
from jobstream.broker.errors import BrokerStateError
from jobstream.broker.free_ports import refuse_taken

DEFAULT_PORT = 9092


@dataclass(frozen=True, slots=True)
class BrokerProcess:
    """One JVM of the detached broker; `started` tells it from a later holder of its number."""

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The detached broker as it is now; `running` counts the processes that are alive."""

    bootstrap_servers: str
    processes: tuple[BrokerProcess, ...]
    directory: Path

    @property
    def nodes(self) -> int:
        """How many nodes the cluster has, dead ones included."""
        return len(self.processes)

    @property
    def running(self) -> int:
        """How many of them have a living process now; says nothing about serving."""
        return sum(_jvm(process).is_running() for process in self.processes)


def up(nodes: int = 1, port: int = DEFAULT_PORT) -> BrokerState:
    """Start the detached broker; blocks until it serves, then leaves it running on its own.

    Three nodes listen on `port`, `port + 1` and `port + 2`. Data of an earlier `up` with the
    same number of nodes is found again. Raises `PortInUseError`, `BrokerStartError`, or
    `BrokerStateError` if a broker of ours is up already.
    """
    root = broker_state_directory()
    with exclusive(root / "lock"):
        known = _read(root)
        if known is not None and known.running:
            message = (
                f"a broker is up already at {known.bootstrap_servers} "
                f"({known.running} of {known.nodes} nodes): `jobstream broker down` first"
            )
            raise BrokerStateError(message)
        for number in range(port, port + nodes):
            refuse_taken(number)
        # Storage is formatted for one set of voters; each size keeps its own.
        directory = root / f"nodes-{nodes}"
        kafka = EmbeddedKafka(nodes, port=port, directory=directory, detached=True)
        try:
            # Noted before they serve: should we die now, `down` still finds the processes.
            kafka.start(on_launch=lambda: _write(root, _state_of(kafka)))
        except BaseException:
            _state_file(root).unlink(missing_ok=True)
            raise
        return _state_of(kafka)


def down() -> bool:
    """Stop the detached broker and keep its data; whether there was one to stop.

    Blocks until every process is gone: SIGTERM, then SIGKILL after 10 s.
    """
    root = broker_state_directory()
    with exclusive(root / "lock"):
        known = _read(root)
        if known is None:
            return False
        was_running = known.running > 0
        jvms = [_jvm(process) for process in known.processes]
        end_all(jvms, grace_s=STOP_GRACE_S)
        _state_file(root).unlink(missing_ok=True)
        return was_running


def status() -> BrokerState | None:
    """The detached broker, `None` if none was started or all its processes are gone.

    Asks the operating system, not the broker: it does not prove that the broker serves.
    """
    known = _read(broker_state_directory())
    return known if known is not None and known.running else None


def _state_of(kafka: EmbeddedKafka) -> BrokerState:
    processes = tuple(BrokerProcess(jvm.pid, jvm.started) for jvm in kafka.detached_jvms())
    return BrokerState(kafka.bootstrap_servers, processes, kafka.directory)


def _jvm(process: BrokerProcess) -> DetachedJvm:
    return DetachedJvm(process.pid, process.started)


def _state_file(root: Path) -> Path:
    return root / "state.json"


def _write(root: Path, state: BrokerState) -> None:
    content = {**asdict(state), "directory": str(state.directory)}
    # Renamed into place, so that a reader never sees half of it.
    fresh = root / f"state.json.{os.getpid()}"
    fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    fresh.replace(_state_file(root))


def _read(root: Path) -> BrokerState | None:
    path = _state_file(root)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return BrokerState(
            bootstrap_servers=content["bootstrap_servers"],
            processes=tuple(BrokerProcess(**process) for process in content["processes"]),
            directory=Path(content["directory"]),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is not a broker state ({error}): end its Kafka by hand and remove it"
        raise BrokerStateError(message) from error
