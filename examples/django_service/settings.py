"""The settings. SHOP_DATABASE is a URL, `postgresql://…`; without one it is SQLite."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

URL = os.environ.get("SHOP_DATABASE", "sqlite:///shop.sqlite3")


def database(url: str) -> dict[str, Any]:
    """The database of that URL, as Django wants it."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        # Writers wait for each other from their first statement on.
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
        name = parts.path.removeprefix("/")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
    }


SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "an example signs nothing")
DEBUG = os.environ.get("SHOP_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
USE_TZ = True
DATABASES = {"default": database(URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["jobstream.django", "examples.django_service"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "jobstream.django.JobRefusals"]
ROOT_URLCONF = "examples.django_service.urls"
WSGI_APPLICATION = "examples.django_service.web.application"

JOBSTREAM_APP = "examples.django_service.jobs:app"
TASKS = {
    "default": {
        "BACKEND": "jobstream.django.TasksBackend",
        "OPTIONS": {"ENQUEUE_ON_COMMIT": True, "RETRY": {"attempts": 5, "first": "1s"}},
    }
}
