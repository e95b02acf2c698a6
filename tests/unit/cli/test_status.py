"""What `jobstream status` tells of one process, by what the process says of itself."""

from __future__ import annotations

import pytest

from jobstream.cli.commands import status


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({}, "-"),
        ({"paused": [{"partition": "shop.mail:0", "reasons": ["quiet"]}]}, "1 (quiet)"),
        ({"paused": [], "guarded": ["shop.mail:0"]}, "1 (flood guard)"),
        (
            {
                "paused": [
                    {"partition": "shop.mail:0", "reasons": ["operator", "window"]},
                    {"partition": "shop.mail:1", "reasons": ["operator"]},
                ],
                "guarded": ["shop.mail:0", "shop.mail:2"],
            },
            "3 (flood guard, operator, window)",
        ),
    ],
)
def test_the_column_paused_has_whatever_holds_a_partition(
    answer: dict[str, object], shown: str
) -> None:
    row = vars(status)["_row"]({"role": "worker", "pid": 1, "address": "127.0.0.1:1", **answer})

    assert dict(zip(status.COLUMNS, row, strict=True))["paused"] == shown
