"""docker-compose.yml says what Compose understands, names what exists, and grants little."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

import jobstream
from jobstream.cli.root import COMMANDS
from jobstream.roles.every_role import ROLES
from jobstream.settings import Settings

STATE = "/var/lib/jobstream"
DRAIN_S = 25
WRITES_ANYWHERE = {"kafka"}
"""Its start script writes configuration below /opt."""
RUNS_ONCE = {"topics"}
PINNED = re.compile(r"v?\d+\.\d+\.\d+")


def mounts(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(source, target, mode) of each mount."""
    found = []
    for mount in service.get("volumes", []):
        source, target, *mode = mount.split(":")
        found.append((source, target, mode[0] if mode else "rw"))
    return found


def test_compose_specification_holds(root: Path) -> None:
    checker = [sys.executable, "-m", "check_jsonschema"]
    told = subprocess.run(
        [*checker, "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_variables_are_all_used_and_all_there(root: Path, variables: dict[str, str]) -> None:
    used = set(re.findall(r"\$\{?(\w+)", (root / "docker-compose.yml").read_text()))

    assert used == set(variables)
    assert all(variables.values())


def test_every_part_of_the_stack_is_there(services: dict[str, Any]) -> None:
    asked = {"kafka", *ROLES, "exporter", "canary"}

    assert asked | {"prometheus", "alertmanager", "grafana"} <= services.keys()


def test_images_are_pinned_to_a_whole_version(
    services: dict[str, Any], roles: dict[str, Any], dockerfile: list[tuple[str, str]]
) -> None:
    bases = {rest.split()[0] for word, rest in dockerfile if word == "FROM"}

    for image in [service["image"] for service in services.values()] + sorted(bases):
        tag = image.partition(":")[2].partition("-")[0]
        assert PINNED.fullmatch(tag), f"{image}: a moving tag"
    assert len(bases) == 1
    assert {service["image"] for service in roles.values()} == {
        f"jobstream:{jobstream.__version__}"
    }


def test_limits_stand_at_every_service(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert service["logging"]["options"]["max-size"], name


def test_privileges_are_few(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
        assert service.get("read_only") is (None if name in WRITES_ANYWHERE else True), name
        assert "/var/run/docker.sock" not in str(service)


def test_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert len(published) == 5
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)


def test_mounted_files_exist_and_are_not_written(
    root: Path, compose: dict[str, Any], services: dict[str, Any]
) -> None:
    named = set()
    for name, service in services.items():
        for source, target, mode in mounts(service):
            assert PurePosixPath(target).is_absolute(), name
            if source.startswith("."):
                assert (root / source).is_dir(), f"{name} mounts {source}"
                assert any((root / source).rglob("*")), f"{source} is empty"
                assert mode == "ro", f"{name} could write {source}"
            else:
                named.add(source)
    assert named == set(compose["volumes"])


def test_named_configuration_is_under_a_mount(root: Path, services: dict[str, Any]) -> None:
    for name in ("prometheus", "alertmanager"):
        (option,) = [o for o in services[name]["command"] if o.startswith("--config.file=")]
        path = option.partition("=")[2]
        sources = {target: source for source, target, _ in mounts(services[name])}
        folder, _, file = path.rpartition("/")
        assert (root / sources[folder] / file).is_file()


def test_dashboards_are_where_their_provider_looks(root: Path, services: dict[str, Any]) -> None:
    targets = {target for _, target, _ in mounts(services["grafana"])}
    providers = list((root / "grafana/provisioning/dashboards").glob("*.y*ml"))
    paths = [
        provider["options"]["path"]
        for file in providers
        for provider in yaml.safe_load(file.read_text())["providers"]
    ]

    assert paths
    assert set(paths) <= targets


def test_tools_are_told_of_each_other_by_name_and_port(
    root: Path, services: dict[str, Any]
) -> None:
    prometheus = yaml.safe_load((root / "prometheus/prometheus.yml").read_text())
    told = [
        target
        for manager in prometheus["alerting"]["alertmanagers"]
        for group in manager["static_configs"]
        for target in group["targets"]
    ]
    sources = [
        source["url"]
        for file in (root / "grafana/provisioning/datasources").glob("*.y*ml")
        for source in yaml.safe_load(file.read_text())["datasources"]
    ]

    points = yaml.safe_load(
        (root / "grafana/provisioning/alerting/contact-points.yaml").read_text()
    )["contactPoints"]
    pages = [each["settings"]["url"] for point in points for each in point["receivers"]]

    assert told == ["alertmanager:9093"]
    assert sources == ["http://prometheus:9090"]
    assert pages == ["http://alertmanager:9093"]
    assert services["alertmanager"]["ports"][0].endswith(":9093")
    assert services["prometheus"]["ports"][0].endswith(":9090")


def test_prometheus_scrapes_every_service_of_ours(
    root: Path, roles: dict[str, Any], dockerfile: list[tuple[str, str]]
) -> None:
    port = next(rest for word, rest in dockerfile if word == "EXPOSE")
    scraped = set()
    for job in yaml.safe_load((root / "prometheus/prometheus.yml").read_text())["scrape_configs"]:
        for group in job.get("static_configs", []):
            scraped |= set(group["targets"])
        for lookup in job.get("dns_sd_configs", []):
            scraped |= {f"{name}:{lookup['port']}" for name in lookup["names"]}

    assert {f"{name}:{port}" for name in roles.keys() - RUNS_ONCE} <= scraped


def test_every_service_is_asked_how_it_is(
    services: dict[str, Any], roles: dict[str, Any], dockerfile: list[tuple[str, str]]
) -> None:
    health = next(rest for word, rest in dockerfile if word == "HEALTHCHECK")

    assert "/readyz" in health
    for name, service in services.items():
        if name in RUNS_ONCE:
            assert service["healthcheck"] == {"disable": True}
        elif name not in roles:
            assert service["healthcheck"]["test"][0] == "CMD"
            assert service["healthcheck"]["interval"]


def test_roles_wait_for_the_topics_and_the_topics_for_kafka(roles: dict[str, Any]) -> None:
    assert roles["topics"]["depends_on"]["kafka"]["condition"] == "service_healthy"
    for name in roles.keys() - RUNS_ONCE:
        (needed,) = roles[name]["depends_on"].items()
        assert needed == ("topics", {"condition": "service_completed_successfully"}), name


def test_commands_are_ours(roles: dict[str, Any]) -> None:
    for name, service in roles.items():
        if "entrypoint" not in service:
            assert service["command"][0] in COMMANDS, name


def test_pages_are_served_only_where_they_are_asked_for(roles: dict[str, Any]) -> None:
    """Beyond the loopback they need a token, which is made after the first start."""
    web = roles["web"]

    assert [name for name, service in roles.items() if "profiles" in service] == ["web", "relay"]
    assert web["command"][-2:] == ["--host", "0.0.0.0"]  # noqa: S104 - inside a container
    assert ("read-state", STATE, "rw") in mounts(web), "the file of tokens outlives the container"
    assert ("read-state", STATE, "rw") in mounts(roles["views"]), "web reads the database of views"


def test_a_worker_may_drain(roles: dict[str, Any]) -> None:
    assert Settings.load({}).drain_ms == DRAIN_S * 1000
    for name in ROLES:
        assert int(roles[name]["stop_grace_period"].removesuffix("s")) >= DRAIN_S + 10


def test_variables_of_the_containers_are_settings(
    roles: dict[str, Any], dockerfile: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    (image,) = [rest for word, rest in dockerfile if word == "ENV" and "JOBSTREAM_" in rest]
    of_image = dict(re.findall(r'(JOBSTREAM_\w+)="([^"]*)"', image))

    for service in roles.values():
        settings = Settings.load(of_image | service["environment"])
        assert str(settings.state_dir) == STATE
        assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - inside a container
        assert settings.bootstrap_servers == "kafka:19092"
    assert "is read by nothing" not in caplog.text


# It waits for four seconds, and a server of a test on a busy machine may need more.
PATIENT = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import healthy
healthy.WAIT_S = 60.0
sys.exit(healthy.main())
"""


def ask(root: Path, path: str, port: str | None) -> subprocess.CompletedProcess[str]:
    """What the image's health check says where the container's variable is `port`."""
    own = {} if port is None else {"JOBSTREAM_METRICS_PORT": port}
    environ = {name: value for name, value in os.environ.items() if name[:10] != "JOBSTREAM_"}
    return subprocess.run(
        [sys.executable, "-c", PATIENT, str(root / "docker"), path],
        env=environ | own,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_health_check_of_the_image_tells_yes_from_no(root: Path) -> None:
    import http.server  # noqa: PLC0415 - for this test only
    import threading  # noqa: PLC0415 - likewise

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/livez" else 503)
            self.end_headers()
            self.wfile.write(b"restoring mail [3]")

        def log_message(self, *args: object) -> None:
            """Be quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        yes, no = ask(root, "/livez", str(port)), ask(root, "/readyz", f" {port} ")
        server.shutdown()
    nobody = ask(root, "/livez", str(port))

    assert (yes.returncode, no.returncode, nobody.returncode) == (0, 1, 1)
    assert "restoring mail [3]" in no.stdout


@pytest.mark.parametrize(
    ("port", "told"),
    [
        ("tcp://10.0.0.1:9464", "is any free one: set JOBSTREAM_METRICS_PORT"),
        (None, "is any free one: set JOBSTREAM_METRICS_PORT"),
        ("0", "is any free one: set JOBSTREAM_METRICS_PORT"),
        ("off", "is off: set JOBSTREAM_METRICS_PORT"),
        ("90000", "JOBSTREAM_METRICS_PORT='90000' is not a port"),
    ],
)
def test_the_health_check_reads_the_port_as_the_process_does(
    root: Path, port: str | None, told: str
) -> None:
    answer = ask(root, "/readyz", port)

    assert answer.returncode == 1
    assert told in answer.stdout
    assert "Traceback" not in answer.stderr


def test_roles_name_the_app_in_one_way(roles: dict[str, Any], variables: dict[str, str]) -> None:
    named = [role["command"] for role in roles.values() if "entrypoint" not in role]

    assert len(named) == 9
    for words in named:
        assert "--app" not in words, words
        assert variables["JOBSTREAM_APP"] in words
