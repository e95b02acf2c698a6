"""Cores that a process may use, by affinity and by quotas of control groups."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from jobstream.roles.usable_cores import usable_cores

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "system.slice/shop.service"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    (tmp_path / "groups" / GROUP).mkdir(parents=True)
    (tmp_path / "mine").write_text(f"1:name=other:/elsewhere\n0::/{GROUP}\n")
    return tmp_path / "groups"


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [
        ("max 100000", "max 100000", 64),
        ("200000 100000", "max 100000", 2),
        ("150000 100000", "", 2),
        ("max 100000", "400000 100000", 4),
        ("10000 100000", "", 1),
        ("nonsense", "", 64),
    ],
)
def test_a_quota_counts_wherever_it_is_set(groups: Path, own: str, above: str, cores: int) -> None:
    (groups / GROUP / "cpu.max").write_text(own + "\n")
    (groups / GROUP).parent.joinpath("cpu.max").write_text(above)

    assert usable_cores(groups, groups.parent / "mine") == cores


@pytest.mark.usefixtures("many_cores")
def test_in_a_container_the_quota_stands_at_the_root(groups: Path) -> None:
    (groups.parent / "mine").write_text("0::/\n")
    (groups / "cpu.max").write_text("300000 100000\n")

    assert usable_cores(groups, groups.parent / "mine") == 3


@pytest.mark.usefixtures("many_cores")
def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path, tmp_path / "nothing") == 64


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_this_process_has_some() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
