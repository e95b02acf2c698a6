"""The frame of the command line: what is listed, what an error becomes, which code it ends with."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.harness.waiting import wait_until

from jobstream.cli.app_name import AppName
from jobstream.cli.commands.exporter import declared
from jobstream.cli.root import COMMANDS, code_of, root, told
from jobstream.errors import ConfigError, TopicMismatch, TopicMissing, UnsafeTopic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from click.testing import Result

LIMIT_S = 120.0
APP = """
from dataclasses import dataclass
from jobstream import App
app = App("shop")
other = 1
mail = app.queue("mail", partitions=2, slo="2m")

@dataclass(frozen=True)
class Receipt:
    order_id: str

@app.job(queue=mail)
async def send_receipt(args: Receipt) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "rootshop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("rootshop", None)


def run(*words: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(root, list(words), env=env)


def test_help_names_every_command() -> None:
    found = run("--help")

    assert found.exit_code == 0
    assert not [name for name in COMMANDS if name not in found.stdout]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_explains_itself(name: str) -> None:
    found = run(name, "--help")

    assert found.exit_code == 0
    assert found.stdout.startswith(f"Usage: root {name}")


@pytest.mark.parametrize("words", [["nonsense"], ["lag", "--nonsense"], ["dlq", "list"]], ids=str)
def test_what_is_not_understood_ends_with_2(words: list[str]) -> None:
    found = run(*words, env={"JOBSTREAM_APP": ""})

    assert found.exit_code == 2
    assert "Usage:" in found.stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("text", ["", ",", " , "])
@pytest.mark.parametrize(
    "words", [["worker", "rootshop:app"], ["canary", "--app", "shop", "--once"]], ids=str
)
def test_a_list_without_a_name_is_neither_none_nor_all(words: list[str], text: str) -> None:
    found = run(*words, "--queues", text)

    assert found.exit_code == 2
    assert f"Invalid value for '--queues': {text!r} holds no name" in found.stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["post", "default"])
def test_a_queue_that_is_not_declared_is_refused_with_those_that_are(name: str) -> None:
    found = run("worker", "rootshop:app", "--queues", f"mail,{name}")

    assert found.exit_code == 1
    assert f"app 'shop' declares no queue {name!r}; it declares: mail" in found.stderr


@pytest.mark.usefixtures("folder")
def test_a_process_without_a_port_left_for_it_is_told_before_any_starts() -> None:
    found = run("worker", "rootshop:app", "--processes", "3", "--metrics-port", "65534")

    assert found.exit_code == 1
    assert "process 2 would need port 65536" in found.stderr


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("rootshop.py:app", ["is a file", "rootshop:app"]),
        ("nowhere:app", ["no module 'nowhere' in /", "cd to the folder"]),
        ("rootshop:appp", ["there is none", "rootshop.py) has rootshop:app\n"]),
        ("rootshop:other", ["of type int", "rootshop.py) has rootshop:app\n"]),
        ("email:app", ["email/__init__.py) has no App"]),
    ],
)
def test_a_wrong_target_is_one_line_with_the_fix(
    folder: Path, target: str, words: list[str]
) -> None:
    assert folder.exists()
    found = run("schemas", "export", target, "out")

    assert found.exit_code == 1
    assert found.stderr.count("\n") == 1
    assert found.stderr.startswith("jobstream: ")
    assert not [word for word in words if word not in found.stderr], found.stderr


def test_debug_shows_the_traceback_wherever_it_stands(folder: Path) -> None:
    assert folder.exists()
    plain = run("schemas", "export", "nowhere:app", "out")
    debug = run("schemas", "export", "nowhere:app", "out", "--debug")

    assert isinstance(plain.exception, SystemExit)
    assert isinstance(debug.exception, ConfigError)


def test_an_unknown_error_is_one_line_with_its_class() -> None:
    assert told(OSError("disk\nfull")) == "OSError: disk full (more with --debug)"
    assert told(ConfigError("no such thing")) == "no such thing"


def test_unsafe_topics_have_a_code_of_their_own() -> None:
    found = [code_of(kind("x")) for kind in (UnsafeTopic, TopicMismatch, TopicMissing)]

    assert found == [3, 3, 1]


def test_schemas_are_exported_and_checked(folder: Path) -> None:
    new = run("schemas", "check", "rootshop:app", "out")
    exported = run("schemas", "export", "rootshop:app", "out", "--json")
    same = run("schemas", "check", "rootshop:app", "out")
    avsc = folder / "out" / "send_receipt.avsc"
    avsc.write_text(avsc.read_text().replace('"order_id"', '"id"'))
    breaking = run("schemas", "check", "rootshop:app", "out", "--json")

    assert [new.exit_code, exported.exit_code, same.exit_code, breaking.exit_code] == [2, 0, 0, 3]
    assert "send_receipt.avsc" in exported.stdout
    assert '"path": "args.order_id"' in breaking.stdout


def test_enqueue_names_the_types_there_are(folder: Path) -> None:
    assert folder.exists()
    found = run("enqueue", "rootshop:app", "send_reciept", "{}")

    assert found.exit_code == 1
    assert "'send_reciept'" in found.stderr
    assert "send_receipt" in found.stderr


def test_enqueue_names_the_field_before_it_connects(folder: Path) -> None:
    assert folder.exists()
    found = run("enqueue", "rootshop:app", "send_receipt", '{"order_id": 5}')

    assert found.exit_code == 1
    assert "Receipt.order_id: got 5" in found.stderr


def test_starting_imports_no_more_than_it_needs() -> None:
    probe = (
        "import sys, jobstream.cli.root as r\n"
        "try: r.root.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*{n.partition('.')[0] for n in sys.modules})"
    )

    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    loaded = set(ran.stdout.split("\n")[-2].split())
    assert "click" in loaded
    assert not loaded & {"rich", "rocksdict", "avro", "jgo"}


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["lag"], "cli"),
        ([], "cli"),
        (["--debug", "worker", "shop:app"], "worker"),
        (["exporter"], "worker"),
        (["dev", "shop:app"], "dev"),
        (["web", "token"], "web"),
    ],
)
def test_without_the_extra_the_fix_is_named(tmp_path: Path, words: list[str], extra: str) -> None:
    (tmp_path / "click.py").write_text("raise ImportError('gone', name='click')")

    ran = subprocess.run(
        [sys.executable, "-c", "from jobstream.cli.main import main; main()", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    assert ran.stderr == f"jobstream: click is missing: pip install 'jobstream[{extra}]'\n"


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["worker", "bare:app"], "worker"),
        (["exporter", "--app", "bare"], "worker"),
        (["canary", "--app", "bare", "--once"], "worker"),
        (["web", "--app", "bare"], "web"),
        (["views", "--app", "bare"], "views"),
        (["relay", "bare:app", "--url", "sqlite:///shop.db"], "worker,sql"),
    ],
)
def test_with_the_extra_of_the_command_line_alone_a_server_names_its_own(
    tmp_path: Path, words: list[str], extra: str
) -> None:
    (tmp_path / "bare.py").write_text("from jobstream import App\napp = App('bare')\n")
    program = "import sys; sys.modules['prometheus_client'] = None; "
    program += "from jobstream.cli.main import main; main()"

    ran = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert re.fullmatch(
        rf"jobstream: prometheus_client\S* is missing: pip install 'jobstream\[{extra}\]'", line
    )


def test_a_worker_that_fails_is_not_kept_by_a_thread_that_hangs(folder: Path) -> None:
    program = """
import sys, threading
from jobstream.cli.app_name import AppName
from jobstream.cli.commands.exporter import declared
from jobstream.cli.root import root
from jobstream.errors import SourceFailed
from jobstream.roles.process import Roles

def run(self):
    threading.Thread(target=threading.Event().wait).start()
    raise SourceFailed("broken")

Roles.run = run
root.main(["worker", "rootshop:app"])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert ran.returncode == 1, ran.stderr
    assert "broken" in ran.stderr


@pytest.mark.usefixtures("folder")
def test_the_code_says_what_a_queue_promises() -> None:
    assert declared(AppName("rootshop:app")) == {"mail": 120.0}
    assert declared(AppName("shop")) == {}


@pytest.mark.usefixtures("folder")
def test_an_enqueue_without_a_broker_says_so_in_one_line() -> None:
    env = {"JOBSTREAM_BOOTSTRAP_SERVERS": "127.0.0.1:1", "JOBSTREAM_ENQUEUE_TIMEOUT": "1s"}

    def enqueued() -> Result | None:
        found = run("enqueue", "rootshop:app", "send_receipt", '{"order_id": "o-1"}', env=env)
        return found if "Connection refused" in found.stderr else None

    # The client library's own thread hears that, which may get no turn in a second.
    found = wait_until(enqueued, "the reason is told", limit_s=LIMIT_S)

    assert found is not None
    assert found.exit_code == 1
    (line,) = found.stderr.splitlines()
    # What is left of the second when the broker is asked.
    assert re.search(r"no broker answers at 127\.0\.0\.1:1 within [01][.\d]* s", line)
