"""What the README tells a newcomer to do, done to the letter with what a clone holds."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import threading
import time
import venv
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobstream.broker.ports import choose_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.kafka

SEEN_SECONDS_MAX = 180
STOP_SECONDS_MAX = 180
LIMIT_S = 180
INSTALL_SECONDS_MAX = 600
LINES = 15
SERVES = "ready role=worker"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TUTORIAL = "docs/tutorial/first-app.md"
DEFAULTED = re.compile(r"With `(language: [^`]+)`")
MENDED = re.compile(r"`(if .*nobody.*:)`")
PIN = re.compile(r"^([A-Za-z0-9._-]+==\S+(?: *; *[^\\\n]+)?)", re.MULTILINE)


class Terminal:
    """A program in a terminal of its own; what it prints can be waited for."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._changed = threading.Condition()
        self._said: list[str] = []
        self._is_over = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str, deadline: float, times: int = 1) -> None:
        """Until so many lines hold `text`; fails with all that was printed."""
        with self._changed:
            while sum(text in line for line in self._said) < times:
                left = deadline - time.monotonic()
                if self._is_over or left <= 0:
                    pytest.fail(f"{text!r} was not printed:\n{''.join(self._said)}")
                self._changed.wait(left)

    def press_ctrl_c(self) -> int:
        """The exit code; every process of the terminal gets the signal, as by the keyboard."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(STOP_SECONDS_MAX)

    def close(self) -> None:
        """Leave nothing behind, however the test ended."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def said(self) -> str:
        """All that was printed."""
        with self._changed:
            return "".join(self._said)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._said.append(line)
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


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
    # The locked versions, without the hashes: what is built of the clone can't have one there.
    pins = PIN.findall((root / "requirements.lock").read_text())
    (folder / "constraints.txt").write_text("\n".join(pins))
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    (line,) = install_lines((root / "README.md").read_text())
    run_as_printed(line, clone, programs, folder / "constraints.txt")
    return programs


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> dict[str, str]:
    """A user's environment: nothing of this repository, a port and a folder of its own."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JOBSTREAM_", "COV"))
    }
    port = choose_addresses(1, None)[0].port  # none that a client of another test may take
    # Where Kafka's jars are kept may be set for a whole machine; nothing else is handed on.
    cache = {k: v for k, v in os.environ.items() if k == "JOBSTREAM_CACHE_DIR"}
    return {
        **kept,
        **cache,
        "PATH": f"{installed}:/usr/bin:/bin",
        "JOBSTREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "JOBSTREAM_STATE_DIR": str(tmp_path / "state"),
    }


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


def processes_of(folder: Path) -> Iterator[str]:
    """Command lines of processes that know `folder`, by argument or environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, known = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command + known:
            yield command.replace(b"\0", b" ").decode(errors="replace")


def test_readme_leads_to_a_job_that_ran(
    readme: list[tuple[str, str]],
    installed: Path,
    environment: dict[str, str],
    shop: Path,
    tmp_path: Path,
) -> None:
    dev = command_of(readme, "jobstream dev")
    enqueue = command_of(readme, "jobstream enqueue")
    started = time.monotonic()
    deadline = started + SEEN_SECONDS_MAX
    terminal = Terminal([str(installed / dev[0]), *dev[1:]], shop, environment)
    try:
        terminal.wait_for("jobstream enqueue shop:app send_receipt", deadline)
        sent = subprocess.run(
            [str(installed / enqueue[0]), *enqueue[1:]],
            cwd=shop,
            env=environment,
            capture_output=True,
            text=True,
            timeout=max(1.0, deadline - time.monotonic()),
            check=False,
        )
        assert sent.returncode == 0, sent.stderr
        terminal.wait_for("receipt o-1 sent to a@b.example", deadline)
        terminal.wait_for("ready role=exporter metrics=http://127.0.0.1:", deadline)

        code = terminal.press_ctrl_c()

        assert code in {0, 128 + signal.SIGINT}, terminal.said()
        assert "Traceback" not in terminal.said()
        assert not list(processes_of(tmp_path)), "these outlived Ctrl-C"
    finally:
        terminal.close()


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


class User:
    """Types commands into a second terminal, in the folder of the app."""

    def __init__(self, installed: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._installed = installed
        self._folder = folder
        self._environment = environment

    def types(self, words: list[str]) -> str:
        """What the command prints; fails with what it said if it failed."""
        ran = subprocess.run(
            [str(self._installed / words[0]), *words[1:]],
            cwd=self._folder,
            env=dict(self._environment),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        assert "WARNING" not in ran.stderr, f"{words}: a newcomer would wonder: {ran.stderr}"
        return ran.stdout


@contextmanager
def developed(
    command: list[str], installed: Path, folder: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """`jobstream dev` in the first terminal, its worker serving: so brokers answer, too."""
    terminal = Terminal([str(installed / command[0]), *command[1:]], folder, environment)
    try:
        terminal.wait_for(SERVES, time.monotonic() + LIMIT_S)
        yield terminal
        terminal.press_ctrl_c()
    finally:
        terminal.close()


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
        listed = user.types(command_of(blocks, "jobstream dlq list"))
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
    assert all(dead in listed for dead in ids[1:])
    assert_printed(blocks, "id:", shown)

    user.types(command_of(blocks, "jobstream schemas export"))
    added = DEFAULTED.search(tutorial)
    assert added is not None
    app.write_text(app.read_text().replace("    email: str\n", f"    email: str\n    {added[1]}\n"))
    assert added[1] in app.read_text()
    assert "fit" in user.types(command_of(blocks, "jobstream schemas check"))
