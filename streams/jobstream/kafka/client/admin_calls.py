"""Asks a cluster through the admin client, with a bounded wait and other brokers to turn to.

The client sends a request to the broker it knew last, and waits for that one even when it is dead
or hangs while others serve. So an attempt is short, and the next one is made by a new client, which
looks anew for brokers that answer. Every request here may be repeated: it reads, or it sets what
it would set again.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, not marked as such
    AdminClient,
    ConfigResource,
    ResourceType,
    TopicDescription,
)

from jobstream.errors import BrokerRefused, BrokerUnavailable
from jobstream.kafka.client.construct import made
from jobstream.kafka.client.error_kinds import is_passing
from jobstream.kafka.client.forgotten import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined] # likewise


WAIT_S = 10.0
"""How long a call waits for the cluster in all, give or take the end of its last attempt."""
ATTEMPT_S = 3.0
AGAIN_S = 0.1
TROUBLE_S = 60.0
"""How long what happened on a connection explains a time-out."""
MISSING = frozenset((KafkaError.UNKNOWN_TOPIC_OR_PART,))
HIDDEN = MISSING | {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.INVALID_REQUEST,
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001 - the library's own name
}
"""Not there, or hidden from this client or by this broker."""
_GRACE_S = 1.0
_ONLY_CRITICAL = 2
_K = TypeVar("_K", bound="Hashable")
_T = TypeVar("_T")


class Trouble:
    """What last happened on the connections of a client; its time-outs tell no reason."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._servers = options.get("bootstrap.servers")
        self._protocol = options.get("security.protocol", "plaintext")
        self._last = ""
        self._at = 0.0

    def note(self, error: KafkaError) -> None:
        """A callback of the client. It says the same again only twice a minute."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the library's own name
            self._last, self._at = error.str(), time.monotonic()

    def why(self, otherwise: str) -> str:
        """Its words, if that was within the last minute; else `otherwise`, and what it hides."""
        if self._last and time.monotonic() - self._at < TROUBLE_S:
            return self._last
        # A TLS port closes such a connection, and the client keeps that to itself.
        return f"{otherwise}; a port for another security.protocol than {self._protocol} is silent"

    def told(
        self, client: AdminClient, error: Exception, wait_s: float
    ) -> BrokerRefused | BrokerUnavailable:
        """The error of a question that `client` asked in vain: a no, or no answer in that time."""
        cause = error.args[0] if isinstance(error, KafkaException) else None
        if cause is not None and cause.code() >= 0 and not is_passing(cause):
            return BrokerRefused(f"{self._servers} refused: {cause.str()} ({cause.name()})")
        client.poll(0)  # serves the callback that knows what happened on the connections
        seen = self.why(cause.str() if cause is not None else "timed out")
        message = (
            f"no answer from {self._servers} within {wait_s:g} s ({seen}): "
            "check JOBSTREAM_BOOTSTRAP_SERVERS and that the brokers run"
        )
        return BrokerUnavailable(message)


class Asking:
    """One admin client. Raises BrokerUnavailable without an answer, BrokerRefused at a no."""

    def __init__(self, options: Mapping[str, Any], wait_s: float | None = None) -> None:
        """Prepare a client; nothing is sent yet. Raises ConfigError for a bad client option.

        `wait_s` bounds a call in all, WAIT_S if None.
        """
        self._wait_s = WAIT_S if wait_s is None else wait_s
        self._bootstrap = options.get("bootstrap.servers")
        # Not a method of this object: the client would keep it, and it the client, for ever.
        self._trouble = Trouble(options)
        self.options: dict[str, Any] = {**options, "error_cb": self._trouble.note}
        """Of a client of any kind, whose troubles an error here explains."""
        if not {"debug", "log_level"} & self.options.keys():
            # It would write a line for each of twenty attempts a second; the error has the reason.
            self.options["log_level"] = _ONLY_CRITICAL
        self._client = made(AdminClient, self.options)

    def each(
        self,
        ask: Callable[[AdminClient, float], Mapping[_K, Future[_T]]],
        accepted: frozenset[int] = frozenset(),
    ) -> dict[_K, _T]:
        """The answers to `ask`, which is given a client and the seconds of an attempt.

        Keys answered with an error code in `accepted` are left out.
        """

        def attempt(client: AdminClient, wait_s: float) -> dict[_K, _T]:
            asked = ask(client, wait_s).items()
            answers = {key: _result(future, wait_s, accepted) for key, future in asked}
            return {key: answer for key, answer in answers.items() if answer is not _ACCEPTED}

        return self.repeat(attempt)

    def one(self, ask: Callable[[AdminClient, float], Future[_T]]) -> _T:
        """The answer to `ask`, which is given a client and the seconds of an attempt."""
        return self.repeat(lambda client, s: _result(ask(client, s), s, frozenset()))

    def topics(self) -> Mapping[str, TopicMetadata]:
        """All topics that this client may see, by name."""
        return self.repeat(lambda client, s: client.list_topics(timeout=s).topics)

    def described(
        self, topics: Iterable[str], accepted: frozenset[int] = frozenset()
    ) -> dict[str, TopicDescription]:
        """Partitions and id of each topic; those answered with a code in `accepted` are left out.

        Ask for at least one.
        """
        names = TopicCollection(sorted(set(topics)))
        found = self.each(
            lambda client, wait: client.describe_topics(names, request_timeout=wait), accepted
        )
        let_go(found.values())
        return found

    def configs(
        self, kind: ResourceType, names: Iterable[str], untold: frozenset[int]
    ) -> dict[str, dict[str, str]]:
        """The settings in force of each; those answered with a code in `untold` are left out."""
        resources = [ConfigResource(kind, name) for name in names]
        if not resources:
            return {}
        found = self.each(
            lambda client, wait: client.describe_configs(resources, request_timeout=wait), untold
        )
        return {
            resource.name: {e.name: e.value for e in entries.values() if e.value is not None}
            for resource, entries in found.items()
        }

    def unseen(self, what: str) -> BrokerUnavailable:
        """The error for a change that was accepted and does not show."""
        return BrokerUnavailable(f"{what}, but {self._bootstrap} does not show it yet: try again")

    def repeat(self, attempt: Callable[[AdminClient, float], _T]) -> _T:
        """What `attempt` returns, made again while its errors are such that pass."""
        deadline = time.monotonic() + self._wait_s
        while True:
            wait_s = min(ATTEMPT_S, max(0.1, deadline - time.monotonic()))
            client = self._client
            try:
                return attempt(client, wait_s)
            except (KafkaException, TimeoutError) as error:
                problem = self._trouble.told(client, error, self._wait_s)
                if isinstance(problem, BrokerRefused) or time.monotonic() >= deadline:
                    raise problem from error
            threading.Event().wait(AGAIN_S)
            self._client = made(AdminClient, self.options)


_ACCEPTED: Any = object()


def _result(future: Future[_T], attempt_s: float, accepted: frozenset[int]) -> _T:
    try:
        return future.result(timeout=attempt_s + _GRACE_S)
    except KafkaException as error:
        if error.args[0].code() in accepted:
            answer: _T = _ACCEPTED
            return answer
        raise
