"""A command that waits until workers of this machine act on an order, by what they say of it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.cli.ask_processes import confirm, confirm_drain, meant_here, wait_seen
from jobstream.observe.health import Probes
from jobstream.observe.server import serve
from jobstream.settings import Settings
from jobstream_processors.core.orders import PAUSE_QUEUE, QUIET

if TYPE_CHECKING:
    from pathlib import Path

LONG_S, SHORT_S = 120.0, 0.1
MAIL = {"kind": PAUSE_QUEUE, "subject": "mail"}


@pytest.fixture
def view(tmp_path: Path) -> Any:  # noqa: ANN401 - the part of a view that is asked
    return SimpleNamespace(app="shop", settings=Settings.load({}, state_dir=tmp_path))


def probes(*answers: list[dict[str, str]], name: str = "host:1") -> Probes:
    """A worker that answers with one list of orders after the other; the last one stays."""
    left = list(answers)
    return Probes(
        status=lambda: {"worker": name, "orders": left.pop(0) if len(left) > 1 else left[0]}
    )


def test_it_waits_until_the_worker_acts_on_it(view: Any) -> None:  # noqa: ANN401 - likewise
    with serve(view.settings, "shop", "worker", [], probes([], [], [MAIL])):
        assert wait_seen(view, PAUSE_QUEUE, "mail", LONG_S) == (["host:1"], [])
    with serve(view.settings, "shop", "worker", [], probes([MAIL], [])):
        seen = wait_seen(view, PAUSE_QUEUE, "mail", LONG_S, in_force=False)
        assert seen == (["host:1"], [])


def test_a_worker_that_does_not_is_named_in_time(
    view: Any,  # noqa: ANN401 - likewise
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serve(view.settings, "shop", "worker", [], probes([])):
        assert confirm(view, PAUSE_QUEUE, "mail", SHORT_S) == 1
        assert confirm(view, PAUSE_QUEUE, "mail", 0.0) == 0, "it was not to wait"

    assert capsys.readouterr().err == (
        "jobstream: the entry is written, but host:1 did not act on it within 0.1 s\n"
    )


def test_only_workers_that_are_meant_are_waited_for(
    view: Any,  # noqa: ANN401 - likewise
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        serve(view.settings, "shop", "worker", [], probes([])),
        serve(view.settings, "shop", "exporter", [], Probes()),
    ):
        assert confirm(view, QUIET, "host:2", LONG_S) == 0
    assert "no worker that it concerns answers on this machine" in capsys.readouterr().err

    assert confirm(view, PAUSE_QUEUE, "mail", LONG_S) == 0
    assert "workers elsewhere do within 2 s" in capsys.readouterr().err


def leaves(name: str = "host:1", after: int = 1_000) -> Probes:
    """A worker that says that it drains once it was asked so often."""
    asked = itertools.count()
    return Probes(status=lambda: {"worker": name, "leaving": next(asked) >= after})


def test_a_drain_holds_once_those_that_were_there_drain_or_have_left(
    view: Any,  # noqa: ANN401 - likewise
    capsys: pytest.CaptureFixture[str],
) -> None:
    starting = Probes(status=lambda: {"worker": "host:3"})
    with (
        serve(view.settings, "shop", "worker", [], leaves(after=2)),
        serve(view.settings, "shop", "worker", [], starting),
        serve(view.settings, "shop", "worker", [], leaves("other:1")),
    ):
        with serve(view.settings, "shop", "worker", [], leaves("host:2")):
            here = meant_here(view, "host:*")
        assert sorted(here) == ["host:1", "host:2"], "one that only starts does not obey"
        with serve(view.settings, "shop", "worker", [], leaves("host:4")):
            assert confirm_drain(view, here, LONG_S) == 0, "nor does one that came since"

    said = capsys.readouterr().err
    assert f"every worker on this machine acts on it ({', '.join(here)})" in said


def test_a_worker_that_does_not_drain_is_named_in_time(
    view: Any,  # noqa: ANN401 - likewise
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serve(view.settings, "shop", "worker", [], leaves()):
        assert confirm_drain(view, ["host:1"], SHORT_S) == 1
        assert confirm_drain(view, ["host:1"], 0.0) == 0, "it was not to wait"
    assert "host:1 did not act on it within 0.1 s" in capsys.readouterr().err

    assert confirm_drain(view, [], LONG_S) == 0
    assert "no worker that it concerns answers on this machine" in capsys.readouterr().err
