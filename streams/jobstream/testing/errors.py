"""Errors of the broker in memory, for the author of a test.

MemoryBrokerError    the test asked for what is not there; never raised to the code under test
├── NoSuchTopic
├── TopicExists
├── NoSuchPartition
├── NoSuchMember
├── NotOwned         a member started a partition that is not assigned to it
├── GroupNotEmpty    its members must leave first, as on Kafka
├── NotCompacted
├── ClockStoodStill  a slow publish waited for a virtual clock that was not advanced
└── NotIdle          jobs were still not settled when the time for it was over
"""

from __future__ import annotations


class MemoryBrokerError(Exception):
    """Base of every error about the use of the broker in memory."""


class NoSuchTopic(MemoryBrokerError, LookupError):
    """No topic of that name was created."""


class TopicExists(MemoryBrokerError):
    """A topic of that name is there already."""


class NoSuchPartition(MemoryBrokerError, LookupError):
    """The topic has fewer partitions."""


class NoSuchMember(MemoryBrokerError, LookupError):
    """No live member of that name; an expired one joins again when it polls."""


class NotOwned(MemoryBrokerError):
    """Only an assigned partition can be started; on Kafka, seeking another one fails too."""


class GroupNotEmpty(MemoryBrokerError):
    """A group with live members can't be deleted."""


class NotCompacted(MemoryBrokerError):
    """Only a topic created with `compacted=True` can be compacted."""


class ClockStoodStill(MemoryBrokerError):
    """A slow publish was not acknowledged, since the virtual clock did not move."""


class NotIdle(MemoryBrokerError):
    """Jobs went on and on, or a handler did not return, until the real time given was over."""
