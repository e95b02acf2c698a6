"""The endpoint: its pages, its codes, its refusals, and the file by which it is found."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobstream.build_kind import build_kind
from jobstream.errors import ConfigError
from jobstream.observe.families import counter, histogram
from jobstream.observe.health import Check, Probes
from jobstream.observe.server import serve
from jobstream.observe.targets import folder_of, living
from jobstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prometheus_client.core import Metric

DEADLINE_S = 120


class Counted:
    """Two families, as a role has them."""

    def collect(self) -> Iterable[Metric]:
        yield counter("jobs_enqueued_total", [(("mail", "send"), 3.0)])
        labels = ("mail", "send")
        yield histogram("jobs_attempts", [(labels, [4, 0, 0, 1, 0, 0, 0, 2], 70.0)])


class Broken:
    """Raises at scrape time, not when it is registered."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        message = "no numbers today"
        raise RuntimeError(message)


def settings_of(folder: Path, **overrides: object) -> Settings:
    return Settings.load({}, state_dir=folder, **overrides)  # type: ignore[arg-type]


def get(address: str, path: str, *, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310 - ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_hold_what_collectors_give_and_no_created_series(tmp_path: Path) -> None:
    with serve(settings_of(tmp_path), "shop", "worker", [Counted()], Probes()) as endpoint:
        code, text = get(endpoint.address, "/metrics")

    found = {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    place = (("job_type", "send"), ("queue", "mail"))
    assert code == 200
    assert found["jobs_enqueued_total", *place] == 3
    assert found["jobs_attempts_count", *place] == 7
    assert found["jobs_attempts_bucket", place[0], ("le", "5.0"), place[1]] == 5
    assert [name for name, *_ in found if name == "process_open_fds"]
    assert f'jobs_build_info{{app="shop",build="{build_kind()}",role="worker",version="' in text
    assert "_created" not in text


def test_probes_answer_503_and_say_why(tmp_path: Path) -> None:
    away = Check("broker", ok=False, why="none for 12 s")
    probes = Probes(ready=lambda: [Check("group", ok=True), away], status=lambda: {"in_flight": 4})

    with serve(settings_of(tmp_path), "shop", "worker", [], probes) as endpoint:
        live, ready, status = (get(endpoint.address, p) for p in ("/livez", "/readyz", "/status"))

    assert live == (200, '{"ok": true, "checks": []}\n')
    assert ready[0] == 503
    assert json.loads(ready[1])["checks"] == [
        {"name": "group", "ok": True},
        {"name": "broker", "ok": False, "why": "none for 12 s"},
    ]
    told = json.loads(status[1])
    assert (told["app"], told["role"], told["live"], told["ready"]) == (
        "shop",
        "worker",
        True,
        False,
    )
    assert told["failed"] == [{"probe": "ready", "check": "broker", "why": "none for 12 s"}]
    assert told["in_flight"] == 4


def test_a_probe_that_fails_itself_is_a_no(tmp_path: Path) -> None:
    def ready() -> list[Check]:
        message = "lost my notes"
        raise RuntimeError(message)

    with serve(settings_of(tmp_path), "shop", "worker", [], Probes(ready=ready)) as endpoint:
        code, text = get(endpoint.address, "/readyz")

    assert code == 503
    assert "lost my notes" in text


def test_a_collector_that_fails_is_a_500_and_the_server_goes_on(tmp_path: Path) -> None:
    with serve(settings_of(tmp_path), "shop", "worker", [Broken()], Probes()) as endpoint:
        assert get(endpoint.address, "/metrics")[0] == 500
        assert get(endpoint.address, "/livez")[0] == 200


def test_other_paths_and_methods_are_refused(tmp_path: Path) -> None:
    with serve(settings_of(tmp_path), "shop", "worker", [], Probes()) as endpoint:
        assert get(endpoint.address, "/")[0] == 404
        assert get(endpoint.address, "/metrics", method="POST")[0] == 405


def test_a_taken_port_names_itself_and_the_setting(tmp_path: Path) -> None:
    with serve(settings_of(tmp_path), "shop", "worker", [], Probes()) as endpoint:
        port = endpoint.address.rpartition(":")[2]

        with pytest.raises(ConfigError, match=f"metrics_port={port} .*JOBSTREAM_METRICS_PORT"):
            serve(settings_of(tmp_path, metrics_port=port), "shop", "worker", [], Probes())


def test_off_opens_nothing_and_writes_nothing(tmp_path: Path) -> None:
    with serve(settings_of(tmp_path, metrics_port="off"), "shop", "x", [], Probes()) as endpoint:
        assert endpoint.address == ""
    assert not list(tmp_path.iterdir())


def test_a_process_is_listed_while_it_serves(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "shop")

    with serve(settings_of(tmp_path), "shop", "worker", [], Probes()) as endpoint:
        (path,) = folder.glob("*.json")
        (entry,) = json.loads(path.read_text())
        assert entry == {
            "targets": [endpoint.address],
            "labels": {"job": "jobstream", "app": "shop", "role": "worker"},
        }
        assert [target.address for target in living(folder)] == [endpoint.address]

    assert not list(folder.glob("*.json"))
