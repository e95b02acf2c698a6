"""`python -m tools.preview`: one picture of each dashboard, under `docs/pictures/`.

It reads what the panel-data test left in `.cache/panels/`, lets the page in `dist/` draw it, and
takes the picture with headless Chromium. It asks no server and installs nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ANSWERS = ROOT / ".cache" / "panels"
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 1600
ROW = 38
HEADER = 44
MARGIN = 6
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAW_S_MAX = 60


def main() -> int:
    """Draw every board of which there is data; 1 if there is none, or no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    found = sorted(ANSWERS.glob("*.json"))
    if browser is None or not found:
        sys.stderr.write("needs Chromium on the PATH, and data: `make pictures` makes the latter\n")
        return 1
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    for path in found:
        picture = PICTURES / f"{path.stem.removeprefix('jobstream-')}.png"
        draw(browser, json.loads(path.read_text()), picture)
        sys.stdout.write(f"{picture.relative_to(ROOT)} {picture.stat().st_size // 1000} kB\n")
    return 0


def draw(browser: str, preview: dict[str, Any], picture: Path) -> None:
    """Take the picture; raises if the page says that something went wrong on it."""
    places = [panel["gridPos"] for panel in preview["board"]["panels"]]
    rows = max(at["y"] + at["h"] for at in places)
    size = f"--window-size={WIDTH},{HEADER + rows * ROW + MARGIN}"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder)
        for name in ("dist/preview.js", "dist/preview.css", "page.html"):
            shutil.copy(HERE / name, page)
        data = json.dumps({**preview, "width": WIDTH})
        (page / "data.js").write_text(f"window.PREVIEW = {data};\n")
        command = [
            *(browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"),
            *(f"--user-data-dir={folder}/profile", "--allow-file-access-from-files", size),
            *("--virtual-time-budget=20000", "--enable-logging=stderr", "--lang=en-GB"),
            *(f"--screenshot={page / 'raw.png'}", (page / "page.html").as_uri()),
        ]
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, capture_output=True, text=True, timeout=DRAW_S_MAX, check=True
        )
        wrong = re.findall(r"CONSOLE[^\n]*?\] \"(.*)", done.stderr)
        errors = [line for line in wrong if "Error" in line]
        if errors:
            raise RuntimeError("\n".join(errors))
        shrink = ["node", str(HERE / "src" / "shrink.js"), str(page / "raw.png"), str(picture)]
        subprocess.run(shrink, timeout=DRAW_S_MAX, check=True)  # noqa: S603 - our own arguments


if __name__ == "__main__":
    sys.exit(main())
