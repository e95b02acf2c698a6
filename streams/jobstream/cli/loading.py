"""Finds the App that MODULE:APP names, by importing the user's code from the working directory."""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import traceback
from typing import TYPE_CHECKING

from jobstream.app import App
from jobstream.cli.app_name import CODE, is_module_app
from jobstream.errors import ConfigError
from jobstream.roles.stop_signals import StopAsked
from jobstream.settings import PREFIX
from jobstream_processors.execute.spot import line_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from jobstream.cli.app_name import AppName


def load_app(named: AppName) -> App:
    """The App that is named; runs the module's code. Raises ConfigError naming what is wrong."""
    target = named.text
    module_name, _, attribute = target.partition(":")
    if not named.has_code:
        message = f"{target!r} ({named.source}) is a bare name; this command needs the code: {CODE}"
        raise ConfigError(message)
    if not is_module_app(target):
        message = (
            f"{target!r} ({named.source}) is not of the form MODULE:APP: write it as in shop:app"
        )
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
        what = "there is none" if found is None else f"it is of type {type(found).__name__}"
        message = f"{target!r} is not an App ({what}); {_apps_in(module)}"
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
                f"no module {error.name!r} in {here} or among the installed packages: "
                "cd to the folder that holds it"
            )
            raise ConfigError(message) from error
        raise _failed(name, error) from error
    except StopAsked:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ConfigError) and str(error).startswith(PREFIX):
            raise  # The module was only the first to read a variable that is wrong.
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> ConfigError:
    """The user's own line and what went wrong there; the way through our code is for --debug."""
    said = traceback.format_exception_only(error)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        place = [f"  {error.filename}:{error.lineno}\n", *said[1:]]  # Python marks the column.
    elif (found := line_of(error)) is not None:
        file, line = found
        place = [f"  {file}:{line}\n", f"    {linecache.getline(file, line).strip()}\n", *said]
    else:
        place = said  # Such as a file that is no text.
    head = f"module {name!r} can't be imported (--debug has the traceback)\n"
    return ConfigError("".join([head, *place]).rstrip("\n"))


def _apps_in(module: ModuleType) -> str:
    apps = sorted(name for name, value in vars(module).items() if isinstance(value, App))
    where = f"module {module.__name__!r} ({module.__file__ or 'a folder without __init__.py'})"
    if not apps:
        return f"{where} has no App: app = App('name')"
    return f"{where} has {', '.join(f'{module.__name__}:{name}' for name in apps)}"
