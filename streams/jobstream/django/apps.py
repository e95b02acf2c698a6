"""The app of Django: its system checks and its command."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class JobstreamConfig(AppConfig):  # type: ignore[misc] # Django has no types
    """`jobstream.django` in INSTALLED_APPS."""

    name = "jobstream.django"
    label = "jobstream"
    verbose_name = "jobstream"

    def ready(self) -> None:
        """Register the checks that concern no single backend."""
        from jobstream.django.system_checks import two_packages  # noqa: PLC0415 - apps come first

        checks.register(two_packages, "jobstream")
