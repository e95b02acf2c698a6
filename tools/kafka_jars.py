"""Writes `jars.sha256`: `python -m tools.kafka_jars [FILE]`, run when Kafka's version changes.

It resolves the dependency graph of Kafka with `jgo`, downloads every jar and notes its SHA-256.
What it writes is trusted from then on, so its diff is reviewed like code. A starting broker
never runs it.
"""

import sys
import tempfile
from pathlib import Path

from jobstream.broker.jars import KAFKA_VERSION, file_sha256, maven_context

LIST = Path(__file__).parents[1] / "streams" / "jobstream" / "broker" / "jars.sha256"
KAFKA = ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION)
# Kafka logs through slf4j and leaves the binding to the installation: without one it is silent.
# It is fetched on its own, because its parent manages other versions of Kafka's own libraries.
LOGGING_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")

HEADER = f"""\
# Class path of Apache Kafka {KAFKA_VERSION}: SHA-256 and Maven coordinate of each jar.
# Written by: python -m tools.kafka_jars
"""


def pin_lines() -> list[str]:
    """One line `sha256  group:artifact:version` per jar; blocks for the whole download."""
    with tempfile.TemporaryDirectory(prefix="jobstream-pin-") as scratch:
        context = maven_context(Path(scratch))
        kafka = context.create_dependency(":".join(KAFKA))
        roots, below = context.resolver.resolve([kafka])
        needed = [*roots, *(dep for dep in below if dep.scope in {"compile", "runtime"})]
        group, artifact, version = LOGGING_BINDING
        binding = context.project(group, artifact).at_version(version).artifact()
        return [
            f"{file_sha256(jar.resolve())}  {jar.groupId}:{jar.artifactId}:{jar.version}"
            for jar in (*(dep.artifact for dep in needed), binding)
        ]


def main(arguments: list[str]) -> None:
    """Write the list to the file named first in `arguments`, else where brokers read it."""
    target = Path(arguments[0]) if arguments else LIST
    lines = pin_lines()
    target.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(lines)} jars pinned in {target}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
