"""An app's way to its broker: one client, made at first use. It connects to nothing before that."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.client import Client
from jobstream.enqueue.composing import Composer
from jobstream.enqueue.direct import CollectingContext, refuse_if_called
from jobstream.topics.names import schemas_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream.enqueue.composing import Composed, JobKind, When
    from jobstream.enqueue.door import Door
    from jobstream.enqueue.lag_watch import LagWatch
    from jobstream.enqueue.transport import Transport
    from jobstream.job_queue import Queue
    from jobstream.settings import Settings
    from jobstream.surroundings import Middleware
    from jobstream_processors.context import Context
    from jobstream_processors.queue_plan import QueuePlan

    Compose = Callable[[JobKind, Any, When, str | None, str | None], Composed]


class Connection:
    """Holds the client of one app. Safe to use from any thread."""

    def __init__(
        self,
        app: str,
        settings: Settings,
        plans: Mapping[str, QueuePlan],
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        """`plans` and `middlewares` may grow until it `has_begun`."""
        self._middlewares = middlewares
        self._app = app
        self._settings = settings
        self._plans = plans
        self._lock = threading.Lock()
        self.ready: Client | None = None
        """The client, once it was made: `client` makes it."""
        self._composer: Composer | None = None
        """Of what other code sends later, once there was any."""
        self._compose: Compose | None = None
        """The same inside of the app's middleware."""
        self._transport: Transport | None = None
        self._watch: LagWatch | None = None
        """Looks at the lag of queues with bounds, if there are any."""

    @property
    def has_begun(self) -> bool:
        """Whether jobs were composed, by middleware that is the app's from then on."""
        return self.ready is not None or self._compose is not None

    def door(self, queue: Queue) -> Door | None:
        """The door of a queue; None if it has no bounds."""
        if queue.bounds is None:
            return None
        from jobstream.enqueue.lag_watch import LagWatch  # noqa: PLC0415 - most apps need none

        if self._watch is None:
            self._watch = LagWatch(self._app)
        return self._watch.door(self._plans[queue.name], queue.bounds)

    @property
    def doors(self) -> tuple[Door, ...]:
        """Of every queue with bounds that has a job type."""
        return () if self._watch is None else self._watch.doors

    def client(self) -> Client:
        """The client that enqueues; made at first use, and anew after `bind`.

        Raises EnqueueError in a handler that is called directly, unless a transport is bound.
        """
        if self._transport is None:
            refuse_if_called()
        with self._lock:
            if self.ready is None:
                self.ready = self._over(self._transport or self._to_kafka())
            return self.ready

    def client_for(self, run: Context) -> Client:
        """The client through which that run enqueues child jobs; a test's context writes none."""
        if self._transport is None and isinstance(run, CollectingContext):
            return run.client(self, self._plans, self._over)
        return self.client()

    def compose(
        self,
        kind: JobKind,
        args: Any,  # noqa: ANN401 - generic in the job type
        when: When,
        job_id: str | None = None,
        parent_id: str | None = None,
    ) -> Composed:
        """Steps 1 and 2, inside of the app's middleware, for code that sends the record later."""
        meta, record = self._made_compose()(kind, args, when, job_id, parent_id)
        if not self._settings.tracing:
            return meta, record
        from jobstream.observe.spans import within_current  # noqa: PLC0415 - where it is on

        return meta, within_current(record)

    def check(self, kind: JobKind, args: Any, when: When) -> None:  # noqa: ANN401 - as above
        """Raise what an enqueue would raise for these args and options; asks no middleware."""
        self._made_composer().compose(kind, args, when)

    def _made_compose(self) -> Compose:
        if (made := self._compose) is None:
            made = self._made_composer().compose
            if self._middlewares:
                from jobstream.enqueue.around import compose_within, layers_of  # noqa: PLC0415 - where there is any

                made = partial(compose_within, layers_of(self._middlewares), made)
            self._compose = made
        return made

    def _made_composer(self) -> Composer:
        if self._composer is None:
            bytes_max = self._settings.enqueue_bytes_max
            self._composer = Composer(lambda: time.time_ns() // 1_000_000, bytes_max)
        return self._composer

    def bind(self, transport: Transport | None) -> None:
        """Send through `transport` from now on; None goes back to Kafka."""
        with self._lock:
            client, self.ready, self._transport = self.ready, None, transport
            self._compose = None
        if self._watch is not None:
            self._watch.close()
        if client is not None:
            client.transport.close()

    def close(self) -> None:
        """Send what is queued (at most 5 s) and disconnect; the next enqueue connects anew."""
        with self._lock:
            client, self.ready, self._compose = self.ready, None, None
        if self._watch is not None:
            self._watch.close()
        if client is not None:
            client.transport.close()

    def _over(self, transport: Transport) -> Client:
        tracing = None
        if self._settings.tracing:
            from jobstream.observe.spans import send_tracing  # noqa: PLC0415 - where it is on

            tracing = send_tracing()
        client = Client(
            transport,
            schemas_topic(self._app),
            timeout_ms=self._settings.enqueue_timeout_ms,
            bytes_max=self._settings.enqueue_bytes_max,
            tracing=tracing,
        )
        if not self._middlewares:
            return client
        from jobstream.enqueue.around import client_within  # noqa: PLC0415 - where there is any

        return client_within(client, self._middlewares)

    def _to_kafka(self) -> Transport:
        from jobstream.kafka.produce.producer import KafkaTransport  # noqa: PLC0415 - at first use

        settings = self._settings
        return KafkaTransport(settings.client_options(), settings.enqueue_timeout_ms)
