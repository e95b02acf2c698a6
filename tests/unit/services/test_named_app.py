"""An app is named by itself or by its path; what is wrong with the path is said at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from jobstream import App, ConfigError
from jobstream.services.named_app import app_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "named_shop.py").write_text(
        "from jobstream import App\napp = App('shop')\nnumber = 5\nclass holder:\n    app = app\n"
    )
    (tmp_path / "needs_what_is_not_there.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "named_shop", raising=False)


def test_an_app_names_itself() -> None:
    app = App("shop")

    assert app_of(app, "here") is app


@pytest.mark.parametrize("path", ["named_shop:app", "named_shop.app", "named_shop:holder.app"])
def test_a_path_leads_to_the_app_of_the_module(path: str) -> None:
    assert app_of(path, "here") is sys.modules["named_shop"].app


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "here names no app"),
        ("", "here names no app"),
        (5, "here = 5: give an App"),
        ("shop", "here = 'shop': give an App"),
        ("shop:", "here = 'shop:': give an App"),
        ("shop jobs:app", "here = 'shop jobs:app': give an App"),
        ("no_such_shop:app", "there is no module 'no_such_shop'"),
        ("named_shop.deeper:app", "there is no module 'named_shop.deeper'"),
        ("named_shop:web", "'web' in module named_shop is nothing, no App"),
        ("named_shop:number", "'number' in module named_shop is of type int, no App"),
    ],
)
def test_a_wrong_path_is_refused_by_its_value(given: object, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        app_of(given, "here")

    assert told in str(raised.value)


def test_what_the_module_lacks_is_not_taken_for_the_module() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        app_of("needs_what_is_not_there:app", "here")
