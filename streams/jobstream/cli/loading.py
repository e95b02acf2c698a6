"""Finds the App that MODULE:APP names, by importing the user's code from the working directory."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

from jobstream.app import App
from jobstream.cli.app_name import CODE, is_module_app
from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from jobstream.cli.app_name import AppName


def load_app(named: AppName) -> App:
    """The App that is named; runs the module's code. Raises ConfigError naming what is wrong."""
    target = named.text
    module_name, _, attribute = target.partition(":")
    if not named.has_code:
        message = f"{target!r} ({named.source}) is a bare name; this needs the code: {CODE}"
        raise ConfigError(message)
    if not is_module_app(target):
        message = f"{target!r} ({named.source}) is no MODULE:APP: write it as in shop:app"
        raise ConfigError(message)
    if module_name.endswith(".py") or os.sep in module_name:
        dotted = module_name.removesuffix(".py").replace(os.sep, ".").strip(".")
        message = f"{module_name!r} is a file: write the module's name, {dotted}:{attribute}"
        raise ConfigError(message)
    module = _module(module_name, named.folder)
    found: object = module
    for name in attribute.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, App):
        what = "there is none" if found is None else f"it is a {type(found).__name__}"
        message = f"{target!r} is no App ({what}); {_apps_in(module)}"
        raise ConfigError(message)
    found.found_at = (module_name, attribute)
    return found


def _module(name: str, folder: Path) -> ModuleType:
    here = str(folder)
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            message = (
                f"no module {error.name!r} in {here} or among the installed packages; "
                "run this in the folder that holds it"
            )
            raise ConfigError(message) from error
        raise _failed(name, error) from error
    except Exception as error:
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> ConfigError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return ConfigError(
        f"module {name!r} can't be imported: {type(error).__name__}: {error} "
        f"({last.filename}, line {last.lineno})"
    )


def _apps_in(module: ModuleType) -> str:
    apps = sorted(name for name, value in vars(module).items() if isinstance(value, App))
    if not apps:
        return f"module {module.__name__!r} has no App: app = App('name')"
    return "did you mean " + " or ".join(f"{module.__name__}:{name}" for name in apps) + "?"
