"""Starts the service: Kafka if there is none, topics, a worker, and gunicorn with preload."""

from __future__ import annotations

import sys

from examples.serving import Commands, serve

APP = "examples.flask_service.jobs:app"
WEB = "examples.flask_service.web:create_app()"


def commands(port: int, _: str) -> Commands:
    """What it consists of."""
    bind = ["--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    return Commands(
        before=(["examples.orders"],),
        topics=["jobstream", "topics", "apply", APP],
        worker=["jobstream", "worker", APP],
        server=["gunicorn", WEB, "--preload", *bind, "--log-level", "warning"],
    )


if __name__ == "__main__":
    sys.exit(serve("flask_service", commands))
