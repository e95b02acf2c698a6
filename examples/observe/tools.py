"""Prometheus and the Alertmanager on this machine: found on the PATH, told where we are."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from jobstream.broker.free_ports import choose_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVERY = "5s"
"""Scraped and evaluated so often: somebody is watching."""


class MissingTool(Exception):
    """A program is not on the PATH; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that serves HTTP at `address`."""

    name: str
    address: str
    command: tuple[str, ...]


def program(*names: str) -> str:
    """The path of a program that has one of these names; raises MissingTool."""
    for name in names:
        if found := shutil.which(name):
            return found
    message = (
        f"{names[0]} is not on the PATH. On Debian or Ubuntu, as root: "
        "apt-get install prometheus prometheus-alertmanager (or run .ci/install)"
    )
    raise MissingTool(message)


def free_port() -> int:
    """A port that nobody listened on a moment ago, and that no outgoing connection may take."""
    return choose_addresses(1, None)[0].port


def alertmanager(root: Path, folder: Path) -> Tool:
    """The Alertmanager with the stack's own configuration."""
    address = f"127.0.0.1:{free_port()}"
    command = (
        program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={root / 'alertmanager/alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    return Tool("alertmanager", address, command)


def prometheus(root: Path, folder: Path, targets: Path, others: Mapping[str, str]) -> Tool:
    """Prometheus with the stack's rules, scraping what announces itself in `targets`.

    `others` are addresses by role of those that don't, and `alertmanager`. Writes a file.
    """
    address = f"127.0.0.1:{free_port()}"
    config: dict[str, Any] = yaml.safe_load((root / "prometheus/prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": EVERY, "evaluation_interval": EVERY}
    # All of them: there is no Grafana here to evaluate the others.
    config["rule_files"] = [str(root / "prometheus/rules/*.yml")]
    config["alerting"] = {
        "alertmanagers": [{"static_configs": [{"targets": [others["alertmanager"]]}]}]
    }
    found = {"files": [f"{targets}/*.json"], "refresh_interval": "1s"}
    named = [
        {"targets": [where], "labels": {"role": role, "app": "shop"}}
        for role, where in others.items()
        if role != "alertmanager"
    ]
    config["scrape_configs"] = [
        {"job_name": "jobstream", "file_sd_configs": [found], "static_configs": named}
    ]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    command = (
        program("prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
    )
    return Tool("prometheus", address, command)
