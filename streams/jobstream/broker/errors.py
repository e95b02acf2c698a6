"""Errors of a broker that jobstream starts itself.

    BrokerError
    ├── MissingDependencyError   jgo, or a Java runtime, is not there
    ├── JarMismatchError         a jar is not the file that was pinned
    ├── JarDownloadError         a jar could not be fetched
    ├── BrokerDirectoryError     its directory cannot be made or written to
    ├── PortInUseError           the port asked for is taken
    ├── BrokerStartError         a node died, or never answered
    ├── BrokerStateError         the call does not fit what is running now
    └── NoSuchNodeError          a node number outside the cluster

None of these is retried and none concerns a job: they stop the command or the test that wanted
a broker.
"""


class BrokerError(Exception):
    """Base of every error raised by `jobstream.broker`."""


class MissingDependencyError(BrokerError):
    """A package or a Java runtime that the embedded broker needs is not installed."""


class JarMismatchError(BrokerError):
    """A jar differs from its pinned SHA-256; nothing is started with it."""


class JarDownloadError(BrokerError):
    """A pinned jar could not be fetched from any configured Maven repository."""


class BrokerDirectoryError(BrokerError):
    """The directory for its data, its state or its jars cannot be made or written to."""


class PortInUseError(BrokerError):
    """The port that was asked for belongs to another process."""


class BrokerStartError(BrokerError):
    """A node ended during start-up, or did not answer before the deadline."""


class BrokerStateError(BrokerError):
    """The call needs another state: not started, started already, or not dead."""


class NoSuchNodeError(BrokerError):
    """The node number does not exist in this cluster; nodes are numbered from 1."""
