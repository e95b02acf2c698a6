"""Errors that keep a shard from being opened: its partition waits until they are mended.

TableUnavailable        of jobstream_processors: no partition is served without its table
├── StateDirError       the state directory can't be used: stops the worker, an operator acts
└── ShardUnusable       this shard is locked, damaged or foreign: it is moved aside and rebuilt
"""

from __future__ import annotations

from jobstream_processors.errors import TableUnavailable


class StateDirError(TableUnavailable):
    """The state directory can't be written, locked or read; the message names it and the fix."""


class ShardUnusable(TableUnavailable):
    """A shard can't serve, though its topic can replace it; the message starts with the reason."""
