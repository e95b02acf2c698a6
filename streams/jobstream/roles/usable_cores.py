"""How many cores this process may use: as bound by its affinity, and by the quota of its container.

It asks the system once and binds nothing itself.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

CHILDREN_MIN = 2
"""A job that waits in one child must not hold up all others."""
_GROUPS = Path("/sys/fs/cgroup")
_MINE = Path("/proc/self/cgroup")


def usable_cores(groups: Path = _GROUPS, mine: Path = _MINE) -> int:
    """The cores that the process may run on; fewer if a CPU quota (cgroup v2) allows no more.

    A quota of one and a half cores counts as two.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *_quotas(groups, mine)]))


def default_children() -> int:
    """How many child processes a worker may have if no setting says it: one for each core."""
    return max(CHILDREN_MIN, usable_cores())


def _quotas(groups: Path, mine: Path) -> list[int]:
    """What this process's control group and those above it allow, in whole cores."""
    found: list[int] = []
    try:
        line = next(line for line in mine.read_text().splitlines() if line.startswith("0::/"))
    except (OSError, StopIteration):
        return found
    group = groups / line.removeprefix("0::/")
    for folder in (group, *group.parents):
        # The root has no such file, outside of a container; "max" is no limit.
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (folder / "cpu.max").read_text().split()
            found.append(math.ceil(int(quota) / int(period)))
        if folder == groups:
            break
    return found
