"""What it means that a class refuses the values that its own fields declare; builds nothing.

The class took them when the job was enqueued, so it is another version of it, or its check looks
at more than the values. Either way the bytes are sound, and other code may read them.
"""

from __future__ import annotations

from jobstream_schemas.errors import SchemaMismatch, text_of


def refused(cls: type, path: str, error: Exception) -> SchemaMismatch:
    """The error for what `cls`, called with values that were read at `path`, raised."""
    if isinstance(error, SchemaMismatch):
        return error
    names = f"{path}: {cls.__name__} refuses it: {type(error).__name__}"
    return SchemaMismatch(f"{names}: {text_of(error)}", names)
