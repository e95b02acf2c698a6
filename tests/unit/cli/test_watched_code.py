"""Changes of Python files are seen, each once, and those of environments are not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobstream.cli.watched_code import WatchedCode, stamps

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 60.0


def change(watch: WatchedCode) -> list[str]:
    return asyncio.run(asyncio.wait_for(watch.change(), LIMIT_S))


def test_a_change_a_new_file_and_one_that_is_gone_are_named(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "shop.py").write_text("1")
    (tmp_path / "old.py").write_text("1")
    watch = WatchedCode(tmp_path, every_s=0.01)

    (tmp_path / "shop.py").write_text("12")
    (tmp_path / "pack" / "new.py").write_text("1")
    (tmp_path / "old.py").unlink()

    assert change(watch) == ["old.py", "pack/new.py", "shop.py"]


def test_a_change_between_two_calls_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text("1")
    watch = WatchedCode(tmp_path, every_s=0.01)
    file.write_text("12")
    assert change(watch) == ["shop.py"]

    file.write_text("123")

    assert change(watch) == ["shop.py"]


def test_hidden_folders_environments_and_other_files_are_left_out(tmp_path: Path) -> None:
    for folder in (".venv", ".git", "env", "__pycache__", "node_modules"):
        (tmp_path / folder / "lib").mkdir(parents=True)
        (tmp_path / folder / "lib" / "code.py").write_text("1")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "notes.txt").write_text("1")
    (tmp_path / "shop.py").write_text("1")

    assert [*stamps(tmp_path)] == ["shop.py"]
