"""A type that args may have is one file of `shapes/`: nobody else asks of what kind a shape is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

from jobstream_schemas import shapes
from jobstream_schemas.shapes.declared import KINDS
from jobstream_schemas.shapes.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(shapes.__path__):
        yield importlib.import_module(f"{shapes.__name__}.{found.name}")


def shape_classes() -> set[str]:
    classes = [each for module in modules() for each in vars(module).values()]
    return {each.__name__ for each in classes if inspect.isclass(each) and issubclass(each, Shape)}


def imported_at_run_time(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Module and name of every import that is not for type checkers alone."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        for each in ast.walk(node):
            if isinstance(each, ast.ImportFrom):
                yield from ((each.module or "", name.name) for name in each.names)
            elif isinstance(each, ast.Import):
                yield from ((name.name, "") for name in each.names)


def test_no_module_outside_the_folder_has_a_shape_class_to_match_on(shipped_file: Path) -> None:
    if shipped_file.parent.name == "shapes":
        return
    imports = imported_at_run_time(ast.parse(shipped_file.read_text()))

    of_shapes = [(module, name) for module, name in imports if module.startswith(shapes.__name__)]
    whole = [module for module, name in of_shapes if module == shapes.__name__ or not name]
    assert not whole, "import the function or class that is needed, from its file"
    assert not {name for _, name in of_shapes} & shape_classes(), "give the shapes a verb instead"


def test_every_kind_is_in_the_list() -> None:
    there = {module.__name__: module.KIND for module in modules() if hasattr(module, "KIND")}

    assert [name for name, kind in there.items() if kind not in KINDS] == []
