"""The settings of a small project; the suite sets Django up with them in a process of its own."""

import os

SECRET_KEY = "not secret, of a test"  # noqa: S105 - it signs nothing
USE_TZ = True
INSTALLED_APPS = ["jobstream.django"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SITE_DATABASE", ":memory:"),
    }
}
MIDDLEWARE = ["jobstream.django.JobRefusals"]
ROOT_URLCONF = "tests.unit.services.django_site.urls"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
JOBSTREAM_APP = "tests.unit.services.django_site.jobs:app"
BACKEND = "jobstream.django.TasksBackend"
RETRY = {"attempts": 3, "first": "1s", "jitter": False}
TASKS = {
    "default": {
        "BACKEND": BACKEND,
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"RETRY": RETRY},
    },
    "written": {
        "BACKEND": BACKEND,
        "OPTIONS": {"ENQUEUE_ON_COMMIT": "default", "OUTBOX": True, "PRIORITIES": False},
    },
    "committed": {
        "BACKEND": BACKEND,
        "OPTIONS": {"ENQUEUE_ON_COMMIT": True, "PRIORITIES": False},
    },
}
