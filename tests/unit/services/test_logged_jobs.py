"""A look at jobs goes on in a forked child with sources of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jobstream import App
from jobstream.services.logged_jobs import LoggedJobs

if TYPE_CHECKING:
    from pathlib import Path


def test_a_forked_child_uses_no_source_of_its_parent(tmp_path: Path) -> None:
    looks = LoggedJobs(App("shop", state_dir=tmp_path))
    ours = looks._here()  # noqa: SLF001 - sources have no other door
    child = os.fork()
    if child == 0:
        os._exit(0 if looks._here() is not ours else 1)  # noqa: SLF001 - as above

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert looks._here() is ours  # noqa: SLF001 - as above
    looks.close()
