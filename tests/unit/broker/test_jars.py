"""Only pinned jars are used, and each refusal names the jar or the way out."""

from __future__ import annotations

import hashlib
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from jobstream.broker import JarDownloadError, JarMismatchError, MissingDependencyError
from jobstream.broker.jars import KAFKA_VERSION, PinnedJar, kafka_jars, parse_pins, pinned_jars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BYTES = b"not really a jar"


def pin(name: str, content: bytes = BYTES) -> PinnedJar:
    digest = hashlib.sha256(content).hexdigest()
    return PinnedJar(group="org.example", artifact=name, version="1.0", sha256=digest)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without writing a line per request to the terminal."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository on this machine, named in the user's jgo configuration."""
    folder = tmp_path / "repository"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "jgo.conf").write_text(f"[repositories]\nlocal = {address}\n")
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        # What the first repository lacks is not there: the test asks nobody else.
        monkeypatch.setattr("jgo.constants.MAVEN_CENTRAL_URL", f"{address}/central")
        yield folder
        server.shutdown()


def publish(repository: Path, *jars: PinnedJar) -> None:
    for jar in jars:
        folder = repository / jar.group.replace(".", "/") / jar.artifact / jar.version
        folder.mkdir(parents=True)
        (folder / jar.file_name).write_bytes(BYTES)


def test_packaged_list_is_kafka_with_logging() -> None:
    pins = {jar.artifact: jar for jar in pinned_jars()}

    assert pins["kafka_2.13"].version == KAFKA_VERSION
    assert pins["kafka-clients"].version == KAFKA_VERSION
    assert "log4j-slf4j-impl" in pins, "without a binding Kafka logs nothing"
    assert all(len(jar.sha256) == 64 for jar in pins.values())
    kafkas = [jar for jar in pins.values() if jar.group == "org.apache.kafka"]
    assert {jar.version for jar in kafkas} == {KAFKA_VERSION}, "mixed versions do not start"


def test_list_is_read_with_comments_and_empty_lines() -> None:
    assert parse_pins("# why\n\nabc  g:a:1.0\n") == (PinnedJar("g", "a", "1.0", "abc"),)


def test_jars_come_in_order_and_are_fetched_once(repository: Path, tmp_path: Path) -> None:
    pins = (pin("second"), pin("first"))
    publish(repository, *pins)

    jars = kafka_jars(tmp_path, pins)
    shutil.rmtree(repository)

    assert [jar.name for jar in jars] == ["second-1.0.jar", "first-1.0.jar"]
    assert kafka_jars(tmp_path, pins) == jars
    assert all(jar.read_bytes() == BYTES for jar in jars)


def test_first_use_at_the_same_time_is_one_download(repository: Path, tmp_path: Path) -> None:
    pins = (pin("first"), pin("second"))
    publish(repository, *pins)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kafka_jars(tmp_path, pins), range(4)))

    assert all(jars == found[0] for jars in found)
    assert len(list((tmp_path / f"kafka-{KAFKA_VERSION}").iterdir())) == 1, "nothing half done"


def test_changed_jar_is_refused_by_name(repository: Path, tmp_path: Path) -> None:
    pins = (pin("first"), pin("second"))
    publish(repository, *pins)
    kafka_jars(tmp_path, pins)[1].write_bytes(b"tampered")

    with pytest.raises(JarMismatchError, match=r"org\.example:second:1\.0"):
        kafka_jars(tmp_path, pins)


def test_lost_jar_is_refused_by_name(repository: Path, tmp_path: Path) -> None:
    pins = (pin("first"), pin("second"))
    publish(repository, *pins)
    kafka_jars(tmp_path, pins)[0].unlink()

    with pytest.raises(JarMismatchError, match=r"org\.example:first:1\.0.*no such file"):
        kafka_jars(tmp_path, pins)


def test_wrong_download_leaves_no_cache(repository: Path, tmp_path: Path) -> None:
    pins = (pin("good"), pin("other", b"what was pinned"))
    publish(repository, *pins)

    with pytest.raises(JarMismatchError, match=r"org\.example:other:1\.0"):
        kafka_jars(tmp_path, pins)
    assert not list((tmp_path / f"kafka-{KAFKA_VERSION}").iterdir())


def test_jar_that_nobody_has_is_named(repository: Path, tmp_path: Path) -> None:
    publish(repository, pin("first"))

    with pytest.raises(JarDownloadError, match=r"cannot fetch org\.example:missing:1\.0"):
        kafka_jars(tmp_path, (pin("first"), pin("missing")))


def test_without_jgo_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.config", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'jobstream\[dev\]'"):
        kafka_jars(tmp_path)
