"""`python -m grafana.src.alerts`: writes the rule files of Prometheus and of Grafana.

With `--lasts 1s --to FOLDER`: the files for Prometheus alone, there, with every alert on after that
time: for drills, never for production.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from grafana.src.alerts import ALERTS
from grafana.src.alerts.managed import managed_rules
from grafana.src.alerts.prometheus import alert_rules, recording_rules
from grafana.src.alerts.recordings import RECORDINGS

ROOT = Path(__file__).resolve().parents[3]
MANAGED = "grafana/provisioning/alerting/rules.yaml"


def for_prometheus(lasts: str | None = None) -> dict[str, str]:
    """Every rule file of Prometheus by its name; `lasts` as in `alert_rules`."""
    return {
        "recording.yml": recording_rules(RECORDINGS),
        "watch.yml": alert_rules("jobstream-watch", (a for a in ALERTS if a.watch), lasts),
        "alerts.yml": alert_rules("jobstream-alerts", (a for a in ALERTS if not a.watch), lasts),
    }


def files() -> dict[str, str]:
    """Every committed file by its path in the repository."""
    rules = {f"prometheus/rules/{name}": text for name, text in for_prometheus().items()}
    return {MANAGED: managed_rules(a for a in ALERTS if not a.watch), **rules}


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Write the rule files of Prometheus and Grafana.")
    parser.add_argument("--lasts", help="how long it must be so before any alert is on")
    parser.add_argument("--to", type=Path, help="a folder for Prometheus' files alone")
    asked = parser.parse_args()
    if asked.to is None and asked.lasts is not None:
        parser.error("--lasts is for drills: say --to FOLDER as well")
    written = files()
    if asked.to is not None:
        written = for_prometheus(asked.lasts)
        asked.to.mkdir(parents=True, exist_ok=True)
    for path, text in written.items():
        ((asked.to or ROOT) / path).write_text(text)


if __name__ == "__main__":
    main()
