"""Fixtures of every test: the brokers that users get, too. They start with the first who asks."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from jobstream.build_kind import build_kind

# No time limit per example of a property: the machine may be busy.
settings.register_profile("jobstream", deadline=None, print_blob=True)
settings.load_profile("jobstream")

pytest_plugins = ["jobstream.broker.fixture"]

# Under nohup, or in the background of a script, these are ignored, and what a test starts would
# inherit that: no signal would reach it.
for stop in (signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(stop) is signal.SIG_IGN:
        signal.signal(stop, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def docker_compose_file(pytestconfig: pytest.Config) -> str:
    """Ours, where a Docker engine is there to read it."""
    return str(pytestconfig.rootpath / "docker-compose.yml")


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """Kafka alone: the rest of the stack would be built and started for nothing."""
    return ["up --wait kafka"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the pure build, where the compiled one is tested."""
    if build_kind() == "compiled":
        for item in items:
            for mark in item.iter_markers("pure"):
                item.add_marker(pytest.mark.skip(reason=mark.args[0]))


FIGURE = "figure"


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Tells a figure that a test measured: it is printed with the summary."""

    def tell(figure: object) -> None:
        record_property(FIGURE, str(figure))

    return tell


def pytest_terminal_summary(terminalreporter: Any) -> None:  # noqa: ANN401 - pytest exports no type of it
    """Print the figures, which may have been measured in another process."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, figure in report.user_properties:
                if name == FIGURE:
                    terminalreporter.write_line(f"{report.nodeid}: {figure}")
