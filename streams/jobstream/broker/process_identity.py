"""Names a process for good: its number together with the moment it started.

A process id alone is given to a stranger sooner or later.
"""

import subprocess
from pathlib import Path


def started_at(pid: int) -> str | None:
    """When process `pid` started, as text to compare; `None` if it is gone or a zombie."""
    if Path("/proc/self/stat").exists():
        return _started_from_proc(Path(f"/proc/{pid}/stat"))
    return _started_from_ps(pid)


def _started_from_proc(stat: Path) -> str | None:
    try:
        # The name in parentheses may hold spaces; what follows the last one does not.
        fields = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, ticks = fields[0], fields[19]  # proc(5): fields 3 and 22 of the whole line
    return None if state in {"Z", "X"} else ticks


def _started_from_ps(pid: int) -> str | None:
    shown = subprocess.run(  # noqa: S603  # fixed command, numeric argument
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, start = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else start.strip()
