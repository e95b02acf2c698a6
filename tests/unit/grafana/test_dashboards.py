"""The committed dashboards: generated, without overlap, explained, true to the catalogue."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from grafana.src.boards import BOARDS
from grafana.src.build import render
from grafana.src.promql import complaints
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[3] / "grafana" / "dashboards"
COLUMNS = 24
PANELS_MAX = 16
LINK = re.compile(r"/d/([\w-]+)")

Json = dict[str, Any]


def boards() -> list[Json]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def panels() -> Iterator[tuple[str, Json]]:
    for board in boards():
        for panel in board["panels"]:
            yield f"{board['uid']}: {panel['title']}", panel


ALL_BOARDS = [pytest.param(board, id=board["uid"]) for board in boards()]
ALL_PANELS = [pytest.param(panel, id=name) for name, panel in panels()]


def test_files_are_what_the_source_makes() -> None:
    made = {f"{board.uid}.json": render(board, BOARDS) for board in BOARDS}

    found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert found == made, "run `make dashboards`"


def test_there_are_eight() -> None:
    assert len(boards()) == 8


@pytest.mark.parametrize("board", ALL_BOARDS)
def test_grafanas_own_model_reads_it_back(board: Json) -> None:
    """Its reader drops keys that Grafana does not know: they would show as a difference."""
    read = Dashboard.from_json(board)

    assert json.loads(json.dumps(read, cls=JSONEncoder)) == board


@pytest.mark.parametrize("board", ALL_BOARDS)
def test_panels_do_not_overlap_nor_leave_the_grid(board: Json) -> None:
    places = {panel["title"]: panel["gridPos"] for panel in board["panels"]}

    outside = [name for name, at in places.items() if not 0 <= at["x"] <= COLUMNS - at["w"]]
    overlapping = [
        (one, other)
        for (one, a), (other, b) in combinations(places.items(), 2)
        if a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    ]
    assert not outside
    assert not overlapping


@pytest.mark.parametrize("board", ALL_BOARDS)
def test_rows_leave_no_gap(board: Json) -> None:
    covered = sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in board["panels"])
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])

    assert covered == COLUMNS * height


@pytest.mark.parametrize("board", ALL_BOARDS)
def test_board_can_be_taken_in(board: Json) -> None:
    ids = [panel["id"] for panel in board["panels"]]

    assert len(ids) <= PANELS_MAX
    assert len(set(ids)) == len(ids)
    assert board["description"].endswith("?"), "says which question its first row answers"
    assert board["editable"] is False


@pytest.mark.parametrize("board", ALL_BOARDS)
def test_variables_are_there_and_follow_the_time(board: Json) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}

    assert variables.pop("datasource")["type"] == "datasource"
    assert {"app", "queue"} <= variables.keys()
    for variable in variables.values():
        assert variable["refresh"] == 2
        assert variable["allValue"] == ".*"
        assert variable["datasource"]["uid"] == "${datasource}"
    used = {name for panel in board["panels"] for name in macros_of(panel)}
    assert used <= {*variables, "__rate_interval", "__range", "__interval"}


def macros_of(panel: Json) -> set[str]:
    expressions = " ".join(target["expr"] for target in panel["targets"])
    return set(re.findall(r"\$(\w+)", expressions))


@pytest.mark.parametrize("board", ALL_BOARDS)
def test_links_lead_to_boards(board: Json) -> None:
    found = LINK.findall(json.dumps(board))

    others = {other["uid"] for other in boards()} - {board["uid"]}
    assert {link["url"].removeprefix("/d/") for link in board["links"]} == others
    assert set(found) <= {other["uid"] for other in boards()}


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_panel_explains_itself(panel: Json) -> None:
    assert panel["title"]
    assert len(panel["description"].split()) >= 10, "what it means, and when to worry"
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_series_have_names(panel: Json) -> None:
    """A graph whose lines are named after their labels' braces cannot be read."""
    if panel["type"] == "timeseries":
        assert all(target.get("legendFormat") for target in panel["targets"])


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_queries_are_true_to_the_catalogue(panel: Json) -> None:
    found = {target["expr"]: complaints(target["expr"]) for target in panel["targets"]}

    assert not {expr: wrong for expr, wrong in found.items() if wrong}


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_rates_follow_the_scrape_interval(panel: Json) -> None:
    for target in panel["targets"]:
        ranges = re.findall(r"\[([^\]:]+)", target["expr"])
        assert set(ranges) <= {"$__rate_interval", "$__range"}


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_canaries_are_no_business(panel: Json) -> None:
    for target in panel["targets"]:
        by_type = re.findall(
            r"jobs_(?:settled|failures|run_duration|end_to_end|attempts)\w*\{[^}]*\}",
            target["expr"],
        )
        assert all('job_type!="_canary"' in selector for selector in by_type)


def test_failing_is_a_share_of_runs_since_retries_in_place_settle_nothing() -> None:
    queries = [target["expr"] for _, panel in panels() for target in panel.get("targets", ())]
    shares = [expr for expr in queries if re.search(r"jobs_failures_total.* / ", expr)]

    assert len(shares) == 4, "a table and a graph on each of two boards"
    assert all("jobs_run_duration_seconds_count{" in expr for expr in shares)
    assert not [expr for expr in queries if re.search(r"jobs_settled_total.* / ", expr)]


def test_keys_are_unique() -> None:
    for board in BOARDS:
        keys = [panel.key for panel in board.panels]
        assert len(set(keys)) == len(keys)
        assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)
