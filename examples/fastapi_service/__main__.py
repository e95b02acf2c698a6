"""Starts the service: Kafka if there is none, topics, a worker, a relay, and uvicorn."""

from __future__ import annotations

import sys

from examples.serving import Commands, serve

APP = "examples.fastapi_service.jobs:app"
WEB = "examples.fastapi_service.web:web"


def commands(port: int, database: str) -> Commands:
    """What it consists of."""
    return Commands(
        before=(["examples.orders"],),
        topics=["jobstream", "topics", "apply", APP],
        worker=["jobstream", "worker", APP],
        beside=(["jobstream", "relay", APP, "--url", database],),
        server=["uvicorn", WEB, "--port", str(port), "--workers", "2", "--log-level", "warning"],
    )


if __name__ == "__main__":
    sys.exit(serve("fastapi_service", commands))
