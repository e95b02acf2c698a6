"""`jobstream control limit` with the code of the app: what it refuses before it connects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from jobstream.cli.root import root

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SHOP = """
from dataclasses import dataclass
from jobstream import App, Limit

app = App("shop", bootstrap_servers="127.0.0.1:1", size="small")

@dataclass(frozen=True)
class Sync:
    customer: str

@app.job(limits=[Limit(rate="10/s", per="customer")])
async def sync(args: Sync) -> None: ...
"""


def test_a_rate_beyond_the_dedup_window_is_refused_as_in_a_declaration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limited_shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["control", "limit", "set", "limited_shop:app", "sync/rate/customer", "--rate", "1/30d"]
    told = CliRunner().invoke(root, words)
    assert told.exit_code == 1
    assert (
        "limit 'sync/rate/customer': rate='1/30d' must be remembered for longer than the dedup "
        "window of its queue, 1d: raise the queue's dedup=, or give a shorter time"
    ) in told.output
