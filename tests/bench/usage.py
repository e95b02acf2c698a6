"""What this process has used: CPU time by group of threads, and memory. From /proc, on Linux only.

Elsewhere it answers with nothing, and the report says "not measured".
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

_TASKS = Path("/proc/self/task")
_STATUS = Path("/proc/self/status")
_COUNTER = re.compile(r"[-_:]?\d+(?:_\d+)?$")


def cpu_by_thread() -> dict[str, float]:
    """Seconds on a CPU since start, by thread name without its number; ended threads are left out.

    `MainThread` runs the event loop; `rdk:…` are librdkafka's and `rocksdb:…` RocksDB's.
    """
    return _by_thread(0)


def core_waits_by_thread() -> dict[str, float]:
    """Seconds in which threads could have run and others had the cores, by thread name."""
    return _by_thread(1)


def _by_thread(field: int) -> dict[str, float]:
    if not _TASKS.exists():
        return {}
    ours = {thread.native_id: thread.name for thread in threading.enumerate()}
    used: dict[str, float] = {}
    for task in _TASKS.iterdir():
        try:
            nanoseconds = int((task / "schedstat").read_text().split()[field])
            name = ours.get(int(task.name)) or (task / "comm").read_text().strip()
        except (OSError, IndexError):
            continue
        name = _COUNTER.sub("", name)
        used[name] = used.get(name, 0.0) + nanoseconds / 1e9
    return used


def cpu_since(before: dict[str, float]) -> dict[str, float]:
    """Seconds on a CPU since `before`, by thread name, largest first."""
    return _since(before, cpu_by_thread())


def core_waits_since(before: dict[str, float]) -> dict[str, float]:
    """Seconds of waiting for a core since `before`, by thread name, largest first."""
    return _since(before, core_waits_by_thread())


def _since(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    used = {name: s - before.get(name, 0.0) for name, s in now.items()}
    return dict(sorted(used.items(), key=lambda item: -item[1]))


def cpu_with_children(pid: int) -> float:
    """Seconds on a CPU of a process and of the children it has now."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return float("nan")
    used = 0.0
    for task in tasks.iterdir():
        try:
            used += int((task / "schedstat").read_text().split()[0]) / 1e9
            used += sum(map(cpu_with_children, map(int, (task / "children").read_text().split())))
        except OSError:  # a thread, or a child, that ended meanwhile
            continue
    return used


def cpu_of(*pids: int) -> float:
    """Seconds on a CPU of these processes so far, with all threads that they ever had."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def resident_mb() -> float:
    """Memory this process has in RAM now, in MB of 10**6 bytes; 0 where that is unknown."""
    return _status("VmRSS")


def peak_resident_mb() -> float:
    """The most memory it ever had in RAM."""
    return _status("VmHWM")


def held_mb(pid: int) -> tuple[float, float]:
    """(RSS, PSS) of a process, in MB of 10**6 bytes.

    PSS counts only a share of what other processes have in RAM as well, such as libraries.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.MULTILINE))
    return int(found["Rss"]) * 1024 / 1e6, int(found["Pss"]) * 1024 / 1e6


def _status(field: str) -> float:
    if not _STATUS.exists():
        return 0.0
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 / 1e6 if found else 0.0
