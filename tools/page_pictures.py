"""Draws each page of a bad minute, in both themes: `python -m tools.page_pictures`.

The pages are the real ones, in a real Chromium; their answers are the values of
`tests/harness/bad_minute.py`, so that the pictures change with the pages alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright
from tests.harness.bad_minute import CAUSE, JOB_ID, PreparedDesk, prepared
from tests.harness.served_pages import served

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGES = {
    "overview": "/",
    "queues": "/queues",
    "queue": "/queues/mail",
    "jobs": "/jobs",
    "job": f"/jobs/{JOB_ID}",
    "dead-letters": "/dead-letters",
    "cause": f"/dead-letters?fingerprint={CAUSE}",
    "fix": f"/dead-letters/fix?id={JOB_ID}",
    "types": "/types",
    "schedules": "/schedules",
    "limits": "/limits",
    "workers": "/workers",
    "audit": "/audit",
    "health": "/health",
    "close": "/dead-letters/close?way=redrive&error=MailServerAway&queue=mail",
    "cancel": "/cancel?types=send_receipt&states=waiting",
    "sign-in": "/sign-in",
}
THEMES = ("light", "dark")
CHROMIUM = "/usr/bin/chromium"
WIDTH, HEIGHT, HEIGHT_MAX = 1080, 480, 850
PHONE = 360


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.page_pictures", description=__doc__)
    parser.add_argument("--into", type=Path, default=Path("docs/pictures"), help="folder")
    parser.add_argument("--only", nargs="*", default=list(PAGES), choices=list(PAGES))
    parser.add_argument("--phone", action="store_true", help="360 px wide, instead of a desk's")
    options = parser.parse_args(arguments)
    options.into.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(prepared(PreparedDesk(Path(folder), open_to_loopback=True))) as address,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-lcd-text"]
        )
        width = PHONE if options.phone else WIDTH
        for theme in THEMES:
            page = browser.new_page(
                viewport={"width": width, "height": HEIGHT},
                color_scheme="dark" if theme == "dark" else "light",
            )
            for name in options.only:
                page.goto(address + PAGES[name])
                whole = page.evaluate("document.documentElement.scrollHeight")
                page.set_viewport_size({"width": width, "height": min(HEIGHT_MAX, whole)})
                path = options.into / f"pages-{name}-{theme}.png"
                page.screenshot(path=path)
                page.set_viewport_size({"width": width, "height": HEIGHT})
                print(f"{path} {path.stat().st_size // 1024} KB")  # noqa: T201 - its output
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
