"""The jars of Kafka: fetched by Maven coordinate once per user, and checked on every start.

The pinned list `jars.sha256` decides which files are used and what their bytes must be, so no
version is resolved at run time and no repository has to be trusted.
"""

import hashlib
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from jobstream.broker.broker_folder import exclusive
from jobstream.broker.data_places import cache_directory
from jobstream.broker.errors import JarDownloadError, JarMismatchError, MissingDependencyError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION = "4.3.1"
_DOWNLOADS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class PinnedJar:
    """One jar of the list: where Maven has it, and the SHA-256 its bytes must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """`group:artifact:version`, as Maven writes it."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """The name of the jar in a Maven repository and in our cache."""
        return f"{self.artifact}-{self.version}.jar"


def pinned_jars() -> tuple[PinnedJar, ...]:
    """The packaged list, in class path order."""
    text = resources.files("jobstream.broker").joinpath("jars.sha256").read_text("utf-8")
    return parse_pins(text)


def parse_pins(text: str) -> tuple[PinnedJar, ...]:
    """Read lines of `sha256  group:artifact:version`; empty lines and `#` lines are skipped."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return tuple(_parse_line(line) for line in lines)


def _parse_line(line: str) -> PinnedJar:
    digest, coordinate = line.split()
    group, artifact, version = coordinate.split(":")
    return PinnedJar(group=group, artifact=artifact, version=version, sha256=digest)


def kafka_jars(cache: Path | None = None, pins: tuple[PinnedJar, ...] = ()) -> list[Path]:
    """Paths of all pinned jars, checked, in class path order.

    Blocks for the download (44 MB) on first use and, while another process downloads, for that
    one; afterwards for some 0.1 s of hashing. `cache` replaces the user's cache directory and
    `pins` the packaged list. Raises `JarMismatchError` naming the jar whose bytes differ,
    `JarDownloadError` or `MissingDependencyError`.
    """
    root = cache or cache_directory()
    wanted = pins or pinned_jars()
    home = root / f"kafka-{KAFKA_VERSION}" / _digest_of(wanted)
    if not home.is_dir():
        with exclusive(root / "jars.lock"):
            if not home.is_dir():
                _fetch_into(home, wanted)
    return [_checked(home / jar.file_name, jar) for jar in wanted]


def _digest_of(pins: tuple[PinnedJar, ...]) -> str:
    # A changed list gets a directory of its own, so versions never mix on one class path.
    text = "\n".join(f"{jar.sha256} {jar.coordinate}" for jar in pins)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _fetch_into(home: Path, pins: tuple[PinnedJar, ...]) -> None:
    # The directory gets its final name after its last jar was checked, so a half finished
    # download is never mistaken for a whole one.
    home.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="fetch-", dir=home.parent))
    try:
        context = maven_context(staging / "maven")
        complete = staging / "jars"
        complete.mkdir()
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            fetched = list(pool.map(lambda jar: _fetch(context, jar), pins))
        for jar, path in zip(pins, fetched, strict=True):
            _checked(path, jar)
            path.rename(complete / jar.file_name)
        complete.rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def maven_context(repository: Path) -> "MavenContext":
    """The way to Maven repositories through `jgo`, with `repository` as the local one.

    Repositories named in the user's own jgo configuration are asked before Maven Central.
    Raises `MissingDependencyError` if jgo is not installed.
    """
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415  # optional, as below
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        message = "the embedded broker fetches Kafka with jgo: pip install 'jobstream[dev]'"
        raise MissingDependencyError(message) from error
    remotes = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    return MavenContext(repo_cache=repository, remote_repos=remotes)


def _fetch(context: "MavenContext", jar: PinnedJar) -> Path:
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    try:
        return component.artifact().resolve()
    except Exception as error:  # jgo raises bare RuntimeError, requests errors and OSError
        message = f"cannot fetch {jar.coordinate}: {error}; check the way to Maven Central"
        raise JarDownloadError(message) from error


def _checked(path: Path, jar: PinnedJar) -> Path:
    found = file_sha256(path) if path.is_file() else "no such file"
    if found != jar.sha256:
        message = (
            f"jar {jar.coordinate} at {path} is not the pinned one (found {found}, "
            f"pinned {jar.sha256}): remove {path.parent} to fetch it again"
        )
        raise JarMismatchError(message)
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
