"""One app on one cluster, seen from outside: its queues, schemas, records; writes nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from jobstream.kafka.follow.control_topic import ControlFollower
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.operate.cluster import ClusterReader
from jobstream.operate.errors import NotThere
from jobstream.operate.layout import QueueTopics, queues_of
from jobstream.operate.near_names import close_first
from jobstream.operate.scan import scan, unmoved
from jobstream.topics.names import (
    check_name,
    control_topic,
    dedup_topic,
    dlq_topic,
    offsets_topic,
    rung_topic,
    schemas_topic,
)
from jobstream_processors.core.ladder import RUNGS
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jobstream.operate.scan import Progress
    from jobstream.settings import Settings
    from jobstream_processors.core.orders import Order
    from jobstream_processors.ports import Record, TopicPartition


class AppView:
    """An app as an operator's command sees it. Asks the cluster at first use."""

    def __init__(self, app: str, settings: Settings) -> None:
        """Prepare; raises ConfigError for a name that no app can have."""
        self.app = check_name("app name", app)
        self.settings = settings
        self.options = settings.client_options()
        self.cluster = ClusterReader(self.options)
        self._schemas: SchemaFollower | None = None

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Partition counts of every topic of the cluster; asked once."""
        return self.cluster.topics()

    @cached_property
    def log(self) -> KafkaLog:
        """Topics one by one, as they grow; connects at first use."""
        return KafkaLog(self.options)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The writer schemas in the app's schemas topic; read once, empty if there is no topic."""
        catalogue = Catalogue()
        self._follow_schemas(catalogue)
        return catalogue

    def look_again(self) -> None:
        """Ask anew which topics there are, and read the schemas that came since; blocks for that.

        A catalogue given out before learns them, too.
        """
        self.__dict__.pop("counts", None)
        self._follow_schemas(self.catalogue)

    def reconnect(self) -> None:
        """Turn to the cluster with a new client: the one that failed may wait for a dead broker."""
        self.cluster = ClusterReader(self.options)
        self.__dict__.pop("log", None)
        self.__dict__.pop("control", None)
        # The schemas are read again from the start; the catalogue knows them already.
        self._schemas = None

    def _follow_schemas(self, catalogue: Catalogue) -> None:
        topic = schemas_topic(self.app)
        if not self.counts.get(topic):
            return
        if self._schemas is None:
            self._schemas = SchemaFollower(self.log, topic, catalogue)
        self._schemas.catch_up()

    @cached_property
    def control(self) -> ControlFollower:
        """The app's control topic; catch up before asking it."""
        return ControlFollower(self.log, control_topic(self.app))

    def orders(self, now_ms: Callable[[], int]) -> list[Order]:
        """The control entries in force, oldest first.

        `now_ms` is broker time, asked only where there is an entry. Blocks for what was written
        since the last call; empty if there is no control topic.
        """
        if not self.counts.get(control_topic(self.app)):
            return []
        self.control.catch_up()
        found = self.control.entries()
        at_ms = now_ms() if found else 0
        return [entry for entry in found if entry.is_in_force(at_ms)]

    def queues(self, name: str | None = None) -> list[QueueTopics]:
        """The app's queues, or the one of that name; raises NotThere, naming those there are."""
        found = queues_of(self.app, self.counts, RUNGS)
        if not found:
            message = (
                f"app {self.app!r} has no queues at {self.settings.bootstrap_servers}; check the "
                "name, or create them with: jobstream topics apply MODULE:APP"
            )
            raise NotThere(message)
        if name is None:
            return found
        chosen = [queue for queue in found if queue.name == name]
        if not chosen:
            there = ", ".join(close_first(name, (queue.name for queue in found)))
            message = f"app {self.app!r} has no queue {name!r}; it has: {there}"
            raise NotThere(message)
        return chosen

    def missing(self, name: str | None = None) -> list[str]:
        """Topics that the app's queues, or the one of that name, need and that do not exist."""
        found = [offsets_topic(self.app), schemas_topic(self.app), control_topic(self.app)]
        for queue in self.queues(name):
            found += [queue.topic, dlq_topic(self.app, queue.name)]
            found += [dedup_topic(self.app, queue.name)]
            found += [rung_topic(self.app, queue.name, rung) for rung in RUNGS]
        return sorted(topic for topic in found if not self.counts.get(topic))

    def records(
        self, spans: Mapping[TopicPartition, tuple[int, int]], progress: Progress = unmoved
    ) -> Iterator[Record]:
        """The records in these ranges; blocks while reading."""
        return scan(self.options, spans, progress)
