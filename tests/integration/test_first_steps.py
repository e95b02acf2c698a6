"""What the README tells a newcomer to do, done to the letter with what a clone holds."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import venv
from pathlib import Path

import pytest
from tests.harness.waiting import wait_until
from tests.integration.newcomer import (
    INSTALL_SECONDS_MAX,
    LIMIT_S,
    SERVES,
    Terminal,
    User,
    developed,
    environment_of,
    locked_versions,
    processes_of,
)

pytestmark = pytest.mark.kafka

LINES = 15
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TUTORIAL = "docs/tutorial/first-app.md"
DEFAULTED = re.compile(r"With `(language: [^`]+)`")
MENDED = re.compile(r"`(if .*nobody.*:)`")


@pytest.fixture(scope="module")
def readme(pytestconfig: pytest.Config) -> list[tuple[str, str]]:
    """The code blocks of the README: (language, text)."""
    return BLOCK.findall((pytestconfig.rootpath / "README.md").read_text())


def install_lines(text: str) -> list[str]:
    """The lines of a page's shell blocks that install with pip."""
    blocks = [block for language, block in BLOCK.findall(text) if language == "sh"]
    return [line for block in blocks for line in block.splitlines() if "pip install" in line]


def run_as_printed(line: str, folder: Path, programs: Path, constraints: Path) -> None:
    """Have a shell run the line in `folder`, in the environment of `programs`."""
    environ = {
        **os.environ,
        "PATH": f"{programs}:/usr/bin:/bin",
        "PIP_CONSTRAINT": str(constraints),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_QUIET": "1",
        # To compile takes minutes beside other tests; the compiled wheel has tests of its own.
        "JOBSTREAM_PURE": "1",
    }
    subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, env=environ, check=True, timeout=INSTALL_SECONDS_MAX
    )


@pytest.fixture(scope="module")
def installed(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment, installed as printed, from what a clone holds."""
    root, folder = pytestconfig.rootpath, tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (packed,) = folder.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    clone = folder / packed.name.removesuffix(".tar.gz")
    constraints = locked_versions(root, folder)
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    (line,) = install_lines((root / "README.md").read_text())
    run_as_printed(line, clone, programs, constraints)
    return programs


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> dict[str, str]:
    return environment_of(installed, tmp_path)


@pytest.fixture(scope="module")
def tutorial(pytestconfig: pytest.Config) -> str:
    return (pytestconfig.rootpath / TUTORIAL).read_text()


@pytest.fixture
def shop(readme: list[tuple[str, str]], tmp_path: Path) -> Path:
    """An empty folder, but for the README's app."""
    folder = tmp_path / "empty"
    folder.mkdir()
    app = next(text for language, text in readme if language == "python")
    assert len(app.splitlines()) == LINES
    (folder / "shop.py").write_text(app)
    return folder


def commands_of(blocks: list[tuple[str, str]], program: str) -> list[list[str]]:
    lines = [line for language, text in blocks if language == "sh" for line in text.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(program)]


def command_of(readme: list[tuple[str, str]], program: str) -> list[str]:
    return commands_of(readme, program)[0]


def soon() -> float:
    return time.monotonic() + LIMIT_S


def test_readme_leads_to_a_job_that_ran(
    readme: list[tuple[str, str]],
    installed: Path,
    environment: dict[str, str],
    shop: Path,
    tmp_path: Path,
) -> None:
    dev = command_of(readme, "jobstream dev")
    enqueue = command_of(readme, "jobstream enqueue")
    terminal = Terminal([str(installed / dev[0]), *dev[1:]], shop, environment)
    try:
        terminal.wait_for("jobstream enqueue shop:app send_receipt", soon())
        sent = subprocess.run(
            [str(installed / enqueue[0]), *enqueue[1:]],
            cwd=shop,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert sent.returncode == 0, sent.stderr
        terminal.wait_for("receipt o-1 sent to a@b.example", soon())
        terminal.wait_for("ready role=exporter metrics=http://127.0.0.1:", soon())

        code = terminal.press_ctrl_c()

        assert code in {0, 128 + signal.SIGINT}, terminal.said()
        assert "Traceback" not in terminal.said()
        assert not list(processes_of(tmp_path)), "these outlived Ctrl-C"
    finally:
        terminal.close()


def test_what_is_installed_is_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """Three packages in the environment and what was compiled of them, and no test of the clone."""
    ask = "import jobstream; print(jobstream.__file__); import tests"
    command = [str(installed / "python"), "-I", "-c", ask]

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    place = Path(ran.stdout.strip()).parents[1]
    assert place.is_relative_to(installed.parent)
    assert "No module named 'tests'" in ran.stderr
    ours = {path.name.partition(".")[0] for path in place.glob("jobstream*")}
    ours -= {path.name.partition(".")[0] for path in place.glob("jobstream*.dist-info")}
    assert ours - {"jobstream__mypyc"} == {
        "jobstream",
        "jobstream_processors",
        "jobstream_schemas",
    }


def test_install_lines_of_other_pages_run_as_printed(
    pytestconfig: pytest.Config, installed: Path, tmp_path: Path
) -> None:
    pages = sorted((pytestconfig.rootpath / "docs").rglob("*.md"))
    lines = {line for page in pages for line in install_lines(page.read_text())}
    assert lines
    constraints = installed.parents[1] / "constraints.txt"

    for line in sorted(lines):
        run_as_printed(line, tmp_path, installed, constraints)

    check = [str(installed / "python"), "-m", "pip", "check"]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0


def assert_printed(blocks: list[tuple[str, str]], first: str, said: str) -> None:
    """Each line of the tutorial's output that begins with that word was printed; … is any text."""
    told = [text for language, text in blocks if language == "text" and text.startswith(first)]
    assert told, f"the tutorial shows nothing that begins with {first!r}"
    for line in "".join(told).splitlines():
        pattern = ".*".join(re.escape(part) for part in line.rstrip("…").split("…"))
        assert re.search(f"^{pattern}", said, re.MULTILINE), f"{line!r} was not printed:\n{said}"


def test_tutorial_leads_to_a_dead_job_that_is_brought_back(
    tutorial: str,
    installed: Path,
    environment: dict[str, str],
    shop: Path,
) -> None:
    user = User(installed, shop, environment)
    app = shop / "shop.py"
    blocks = BLOCK.findall(tutorial)
    python = [text for language, text in blocks if language == "python"]
    imports, job = python[0].split("@app.job")
    head = app.read_text().split("@app.job")[0]
    head = re.sub(r"^from jobstream import .*\n", imports.strip() + "\n", head, flags=re.MULTILINE)
    (dev,) = commands_of(blocks, "jobstream dev")

    with developed(dev, installed, shop, environment) as terminal:
        app.write_text(f"{head}@app.job{job}")
        terminal.wait_for(SERVES, time.monotonic() + LIMIT_S, times=2)
        ids = [user.types(words).strip() for words in commands_of(blocks, "jobstream enqueue")]
        deadline = time.monotonic() + LIMIT_S
        terminal.wait_for("receipt o-2 sent at attempt 3", deadline)
        for dead in ids[1:]:
            terminal.wait_for(f"job_dead job_id={dead}", deadline)
        assert_printed(blocks, "worker", terminal.said())

        (show_job,) = commands_of(blocks, "jobstream job show")
        way = user.types([*show_job[:-1], ids[0]])
        dlq_list = command_of(blocks, "jobstream dlq list")
        wait_until(
            lambda: all(dead in user.types(dlq_list) for dead in ids[1:]),
            "the letters are there, which come after the line in the log",
            limit_s=LIMIT_S,
        )
        shown = user.types([*command_of(blocks, "jobstream dlq show")[:-1], ids[1]])

        mended = MENDED.search(tutorial)
        assert mended is not None
        app.write_text(app.read_text().replace('if "@" not in args.email:', mended[1]))
        terminal.wait_for(SERVES, time.monotonic() + LIMIT_S, times=3)
        user.types(command_of(blocks, "jobstream dlq redrive"))
        deadline = time.monotonic() + LIMIT_S
        terminal.wait_for("receipt o-3 sent at attempt 3", deadline)
        (shop / "service.py").write_text("\n".join(python[1:3]))
        user.types(["python", "service.py"])
        terminal.wait_for("receipt o-4 sent at attempt 3", deadline)

    assert way.count("retry") >= 2, way
    assert_printed(blocks, "id:", shown)

    user.types(command_of(blocks, "jobstream schemas export"))
    added = DEFAULTED.search(tutorial)
    assert added is not None
    app.write_text(app.read_text().replace("    email: str\n", f"    email: str\n    {added[1]}\n"))
    assert added[1] in app.read_text()
    assert "fit" in user.types(command_of(blocks, "jobstream schemas check"))
