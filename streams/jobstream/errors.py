"""Errors that a user of jobstream meets, and who acts on them; it only names them.

JobstreamError
├── ConfigError             a setting, name or option was refused: raised where it is written
├── EnqueueError            an enqueue did not succeed: raised to the caller
│   ├── EnqueueTimeout      no acknowledgement in time: the job may still be written, if sent
│   ├── QueueFull           too much is waiting already: the job was not written
│   │   └── QueueBehind     more waits on the queue than it declares, or for longer
│   ├── WrongArgs           a value does not fit its declared type: the job was not written
│   ├── EnqueueVetoed       a middleware refused it: the job was not written
│   ├── MiddlewareFailed    a middleware raised before the job was sent: it was not written
│   ├── JobTooLarge         the encoded job is above the cap: the job was not written
│   ├── EnqueuesFailed      some jobs of many: the others are written
│   └── TopicMissing        a topic does not exist: not written, and no worker starts
├── TopicError              what the topics are: no worker starts, `topics apply` is needed
│   ├── TopicMissing
│   ├── TopicMismatch       another partition count than the one declared
│   └── UnsafeTopic         a setting of a topic breaks a guarantee
├── JobsUndecodable         jobs wait that this code can't read: no worker starts
├── BrokerUnavailable       no answer within the bound: may be tried again
├── BrokerRefused           the broker said no: a repeat gets the same answer
├── BrokerTooOld            the broker lacks what the worker asks for: stops the worker
└── SourceFailed            a consumer can't go on: stops the worker, which is started anew

`except JobstreamError` covers everything that an app, a job type or an enqueue raises; what the
packages below refuse is retold on its way out, word for word, so that a traceback shows it once;
what the client or code of the user raised stays readable as `__cause__`. Only plain values that
belong to no app yet (a Backoff, a RetryAfter) refuse their arguments with InvalidOption, which is a
ValueError.
"""

from __future__ import annotations

from copyreg import __newobj__  # type: ignore[attr-defined] # as pickles name it


class JobstreamError(Exception):
    """Base of every error that jobstream raises to its user, but for those of plain values."""


class ConfigError(JobstreamError, ValueError):
    """A setting, name or option was refused before anything was sent.

    The message names the value and the fix. Raised to the caller, never retried.
    """


class EnqueueError(JobstreamError):
    """An enqueue did not succeed. Raised to the caller, who decides; nothing retries it.

    Repeating it is always safe with the same `idempotency_key`, and for a child job: both give the
    same job. Any other repeat is another job: safe where `may_be_written` is False.
    """

    may_be_written: bool = True
    """Whether the job may be in the log in spite of this error, now or a little later."""


class EnqueueTimeout(EnqueueError):
    """No acknowledgement came within the enqueue wait.

    The job may still be written, unless `may_be_written` is False: then no broker was there at
    all, or the job was not handed to the Kafka client yet when the time was over.
    """


class QueueFull(EnqueueError):
    """Too much is waiting already (back-pressure). The job was not written; come back later.

    As it is, too much waits in this process to be sent to the brokers. `QueueBehind` is the same of
    a queue and its bounds.
    """

    may_be_written = False
    retry_after: float = 1.0
    """Seconds until it is worth to try again."""


class QueueBehind(QueueFull):
    """The queue is over a bound that it declares: `depth_max` or `age_max`. Not written.

    It goes by a look at the queue that is a few seconds old at most, see `App.queue`.
    """

    def __init__(
        self,
        queue: str,
        bound: str,
        *,
        depth: int,
        depth_max: int | None = None,
        age: float | None = None,
        age_max: float | None = None,
        retry_after: float,
    ) -> None:
        """Tell the bound and what was seen."""
        waiting = "1 job waits there" if depth == 1 else f"{depth:,} jobs wait there"
        if bound == "age_max":
            over = f"{waiting}, the oldest for {age or 0:g} s or more; {bound}={age_max or 0:g} s"
        else:
            over = f"{waiting}; {bound}={depth_max}"
        super().__init__(
            f"queue {queue!r} is behind: {over}. The job was not written: try again in "
            f"{retry_after:g} s"
        )
        self.queue = queue
        self.bound = bound
        """The bound that it is over: "depth_max" or "age_max"."""
        self.depth = depth
        """Unfinished jobs on the queue, those that run included."""
        self.depth_max = depth_max
        self.age = age
        """Seconds for which the oldest of them has waited at least; None without `age_max`."""
        self.age_max = age_max
        self.retry_after = retry_after
        """Seconds until the queue is under its bound again, at the rate of the last half minute."""

    def __reduce__(self) -> tuple[object, ...]:
        """Another process gets it as it is."""
        return __newobj__, (type(self), *self.args), vars(self)


class WrongArgs(EnqueueError, ValueError):
    """A value does not fit the type its job declares; the message names each field and its value.

    Not written; a repeat can't help.
    """

    may_be_written = False


class EnqueueVetoed(EnqueueError):
    """A middleware refused the enqueue, and nothing was written.

    A middleware raises it before its `yield`, with the reason; the caller gets it with the
    middleware's name.
    """

    may_be_written = False
    middleware: str = ""
    """The name of the middleware."""
    reason: str = ""
    """What it says."""


class MiddlewareFailed(EnqueueError):
    """A middleware raised before the job was sent, or did not yield. Nothing was written.

    Its own error is the `__cause__`.
    """

    may_be_written = False
    middleware: str = ""
    """The name of the middleware."""


class JobTooLarge(EnqueueError, ValueError):
    """The encoded job is above the cap. Not written; a repeat can't help."""

    may_be_written = False


class EnqueuesFailed(EnqueueError):
    """Some jobs of an `enqueue_many` were not acknowledged; the others are in the log.

    `ids` holds every id by index, also of jobs that were never reported on; "" where the args were
    refused. `failures` maps the index of at most 100 of them to their error; `failed` counts all
    failures, `unknown` those without any answer within the wait, which may still be written.
    """

    def __init__(
        self, ids: list[str], failures: dict[int, Exception], failed: int, unknown: int
    ) -> None:
        """Tell the counts and the first failure."""
        first = (
            f"; the first at index {min(failures)}: {failures[min(failures)]}" if failures else ""
        )
        super().__init__(
            f"{failed} of {len(ids)} jobs failed, {unknown} without an answer; the others are "
            "written. Repeating them with the same idempotency_keys is safe; without keys, a job "
            f"that is written already is enqueued twice{first}"
        )
        self.ids = ids
        self.failures = failures
        self.failed = failed
        self.unknown = unknown


class TopicError(JobstreamError):
    """The topics are not what the app declares. Stops a worker at start; never retried."""


class TopicMissing(TopicError, EnqueueError):
    """A topic does not exist. An enqueue wrote nothing; a worker does not start."""

    may_be_written = False


class TopicMismatch(TopicError):
    """A topic has another partition count than declared. Stops a worker at start.

    A job comes back to its own partition after each wait, so the count changes only by growth, as
    a command: `topics apply --grow`. An enqueue that raises it wrote nothing.
    """


class UnsafeTopic(TopicError):
    """A setting of a topic would lose jobs or run them twice. Stops a worker at start."""


class JobsUndecodable(JobstreamError):
    """Jobs wait that this code can't read; the message names the fields. Stops a worker at start.

    `allow_undecodable="on"` starts it all the same.
    """


class BrokerUnavailable(JobstreamError):
    """No broker answered within the bound. Raised to the caller, who may try again."""


class BrokerRefused(JobstreamError):
    """The broker answered no: authorization, a policy, an invalid value. A repeat can't help."""


class BrokerTooOld(JobstreamError):
    """The broker lacks the consumer group protocol asked for. Stops the worker.

    `JOBSTREAM_GROUP_PROTOCOL=classic` works on any broker, with slower rebalances.
    """


class SourceFailed(JobstreamError):
    """A consumer can't go on without skipping records. Stops the worker; nothing is skipped."""
