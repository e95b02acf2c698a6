"""A command names the extra whose packages are missing, and blames none for a fault of ours."""

from __future__ import annotations

from importlib import import_module

import pytest

from jobstream.cli.extras import needing
from jobstream.errors import ConfigError


def test_a_package_that_is_missing_is_named_with_its_extra() -> None:
    says = r"nowhere is missing: pip install 'jobstream\[top\]'"
    with pytest.raises(ConfigError, match=says), needing("top"):
        import_module("nowhere")


def test_a_module_of_ours_that_is_missing_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"jobstream\.nowhere"), needing("web"):
        import_module("jobstream.nowhere")
