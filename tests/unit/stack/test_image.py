"""The image installs what the lock files pin, and runs as nobody special."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)((?:.*\\\n)+.*--hash.*)", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9._-]+")


def pins(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Name → (version, hashes) of a lock file."""
    return {
        name: (version, frozenset(re.findall(r"--hash=(\S+)", rest)))
        for name, version, rest in PIN.findall(path.read_text())
    }


def wanted(root: Path, extra: str) -> set[str]:
    """The libraries that an extra names, those of the extras in it too, and the bare ones."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    found, waiting = (
        set[str](),
        [*project["dependencies"], *project["optional-dependencies"][extra]],
    )
    while waiting:
        line = waiting.pop()
        if line.startswith("jobstream["):
            for inner in line.removeprefix("jobstream[").partition("]")[0].split(","):
                waiting += project["optional-dependencies"][inner]
        else:
            name = NAME.match(line)
            assert name
            found.add(name[0].lower())
    return found


@pytest.mark.parametrize("name", ["worker.lock", "build.lock"])
def test_lock_of_the_image_pins_what_the_tests_ran_with(root: Path, name: str) -> None:
    everything, some = pins(root / "requirements.lock"), pins(root / "docker" / name)

    assert some
    assert some.items() <= everything.items(), "run `make lock`"


@pytest.mark.parametrize("extra", ["worker", "otel", "views", "postgres", "web"])
def test_lock_of_the_image_has_every_library_of_a_worker(root: Path, extra: str) -> None:
    assert wanted(root, extra) <= pins(root / "docker/worker.lock").keys(), "run `make lock`"


def test_every_download_is_checked(dockerfile: list[tuple[str, str]]) -> None:
    steps = " ".join(rest for word, rest in dockerfile if word == "RUN")
    installs = re.findall(r"pip install ([^&]*)", steps)

    assert len(installs) == 3
    for options in installs:
        assert "--require-hashes" in options or "--no-index" in options


def test_image_runs_as_nobody_special(dockerfile: list[tuple[str, str]]) -> None:
    words = [word for word, _ in dockerfile]
    (user,) = [rest for word, rest in dockerfile if word == "USER"]

    assert user.isdigit()
    assert int(user) >= 10_000, "no user of the machine has it"
    assert words.index("USER") > max(i for i, word in enumerate(words) if word in {"RUN", "COPY"})
    assert words.count("FROM") == 2


def test_what_is_copied_exists_and_is_sent(root: Path, dockerfile: list[tuple[str, str]]) -> None:
    rules = (root / "docker/Dockerfile.dockerignore").read_text().splitlines()
    sent = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    copied = [
        source
        for word, rest in dockerfile
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]

    assert copied
    for source in copied:
        assert (root / source).exists(), source
        assert any(fnmatch(source, rule) for rule in sent), f"{source} is ignored"
