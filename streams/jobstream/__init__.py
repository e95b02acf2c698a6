"""jobstream: background jobs on Kafka.

Everything a user needs is imported from here; `jobstream.testing` is for tests. Importing this
package loads the light core only: no broker is contacted, no worker part is loaded.
"""

from jobstream import held_signals  # noqa: F401 - first: what follows takes a while to load

# isort: split
from jobstream.app import App
from jobstream.control import Control
from jobstream.control_listing import ControlEntry
from jobstream.enqueue.enqueued import Enqueued
from jobstream.errors import (
    BrokerRefused,
    BrokerTooOld,
    BrokerUnavailable,
    ConfigError,
    EnqueueError,
    EnqueuesFailed,
    EnqueueTimeout,
    EnqueueVetoed,
    JobstreamError,
    JobsUndecodable,
    JobTooLarge,
    MiddlewareFailed,
    QueueBehind,
    QueueFull,
    SourceFailed,
    TopicError,
    TopicMismatch,
    TopicMissing,
    UnsafeTopic,
    WrongArgs,
)
from jobstream.job import Job
from jobstream.job_queue import Queue
from jobstream.settings import Settings
from jobstream.surroundings import Enqueuing, Middleware
from jobstream_processors.context import Context
from jobstream_processors.core.breaker import Breaker
from jobstream_processors.core.fair_rule import Fair
from jobstream_processors.core.limit_rule import Limit
from jobstream_processors.core.outcome import Cancel, Dead, JobOutcome, RetryAfter, Snooze
from jobstream_processors.core.retry import Backoff
from jobstream_processors.core.unique_rule import Debounce, Unique
from jobstream_processors.errors import InvalidOption, NoResource
from jobstream_processors.failure import Failure
from jobstream_schemas import DecimalSpec, Secret

__version__ = "0.1.0"

__all__ = [
    "App",
    "Backoff",
    "Breaker",
    "BrokerRefused",
    "BrokerTooOld",
    "BrokerUnavailable",
    "Cancel",
    "ConfigError",
    "Context",
    "Control",
    "ControlEntry",
    "Dead",
    "Debounce",
    "DecimalSpec",
    "EnqueueError",
    "EnqueueTimeout",
    "EnqueueVetoed",
    "Enqueued",
    "EnqueuesFailed",
    "Enqueuing",
    "Failure",
    "Fair",
    "InvalidOption",
    "Job",
    "JobOutcome",
    "JobTooLarge",
    "JobsUndecodable",
    "JobstreamError",
    "Limit",
    "Middleware",
    "MiddlewareFailed",
    "NoResource",
    "Queue",
    "QueueBehind",
    "QueueFull",
    "RetryAfter",
    "Secret",
    "Settings",
    "Snooze",
    "SourceFailed",
    "TopicError",
    "TopicMismatch",
    "TopicMissing",
    "Unique",
    "UnsafeTopic",
    "WrongArgs",
]

# Users see one package: tracebacks, too, do not show where inside a name is defined.
for _name in __all__:
    globals()[_name].__module__ = __name__
