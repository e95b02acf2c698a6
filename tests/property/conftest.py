"""How properties are searched: no time limit per example, since the machine may be busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("jobstream", deadline=None, print_blob=True)
settings.load_profile("jobstream")
