"""Starts the service: Kafka if there is none, tables, topics, a worker, gunicorn with preload."""

from __future__ import annotations

import sys

from examples.serving import Commands, serve

MANAGE = "examples.django_service.manage"
WEB = "examples.django_service.web:application"


def commands(port: int, _: str) -> Commands:
    """What it consists of."""
    bind = ["--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    return Commands(
        before=([MANAGE, "check"], [MANAGE, "migrate", "--verbosity", "0"]),
        topics=[MANAGE, "jobstream", "topics", "apply"],
        worker=[MANAGE, "jobstream", "worker"],
        server=["gunicorn", WEB, "--preload", *bind, "--log-level", "warning"],
    )


if __name__ == "__main__":
    sys.exit(serve("django_service", commands))
