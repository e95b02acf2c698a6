"""The programs of the page about idempotency keys, with their own tests, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 300


def test_their_tests_pass() -> None:
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "examples/keys/test_payments.py"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_page_shows_all_of_them() -> None:
    page = (ROOT / "docs" / "how-to" / "idempotency-keys.md").read_text()

    programs = {path.name for path in (ROOT / "examples" / "keys").glob("*.py")}
    shown = {name for name in programs if f"<!-- examples/keys/{name} -->" in page}
    assert programs - shown == {"__init__.py"}


LIGHT = """
import sys
import jobstream.idempotency, jobstream.web
jobstream.web.IdempotencyMiddleware
print(*sys.modules)
"""


def test_the_middleware_needs_no_framework_no_kafka_and_no_database() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "jobstream" in loaded
    assert not loaded & {"starlette", "flask", "django", "confluent_kafka", "sqlalchemy", "jinja2"}
