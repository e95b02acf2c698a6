"""`python -m grafana.src`: writes every dashboard to `grafana/dashboards/`, and nothing else."""

from __future__ import annotations

from pathlib import Path

from grafana.src.boards import BOARDS
from grafana.src.build import render

FOLDER = Path(__file__).resolve().parents[1] / "dashboards"


def main() -> None:
    """Write the files; one that is no board any more is removed."""
    FOLDER.mkdir(exist_ok=True)
    written = {f"{board.uid}.json": render(board, BOARDS) for board in BOARDS}
    for stale in set(FOLDER.glob("*.json")) - {FOLDER / name for name in written}:
        stale.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
