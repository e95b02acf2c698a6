"""The token of one run of a request: by it a late run finds that the key is another's by now."""

from __future__ import annotations

import os


def new_token() -> str:
    """128 random bits as text: two runs never have the same, in whichever process they are."""
    return os.urandom(16).hex()
