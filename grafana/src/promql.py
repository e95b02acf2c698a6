"""What is wrong with a PromQL expression: judged against the catalogue of metrics, asking nobody.

It knows what dashboards and rules may use: our metrics with their labels, the labels that a target
adds, and a few metrics of every process. It does not run the expression.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import promql_parser

from jobstream.observe.metrics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

TARGET_LABELS = frozenset({"instance", "job", "app", "role"})
# From prometheus_client's collector of the process, and Prometheus itself.
FOREIGN = {
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "up": "gauge",
}
COUNTING = {"rate", "irate", "increase", "resets"}
# Grafana fills these in before Prometheus sees the expression.
MACROS = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$__interval": "15s",
    "$app": ".*",
    "$queue": ".*",
    "$job_type": ".*",
}
MACRO = re.compile("|".join(re.escape(name) + r"\b" for name in MACROS))


def filled_in(expr: str, values: Mapping[str, str] = MACROS) -> str:
    """The expression with Grafana's variables replaced."""
    return MACRO.sub(lambda found: values[found[0]], expr)


def complaints(expr: str, recorded: Collection[str] = ()) -> list[str]:
    """Everything that is wrong with an expression; empty is good.

    `recorded`: names of recording rules that may be used beside the catalogue.
    """
    try:
        tree = promql_parser.parse(filled_in(expr))
    except ValueError as error:
        return [f"does not parse: {error}"]
    found: list[str] = []
    labels = {*TARGET_LABELS, "le"}
    for selector, functions in _selectors(tree, ()):
        found += _about_selector(selector, functions, recorded)
        labels |= _labels_of(str(selector.name))
        if str(selector.name) in recorded:
            return found  # which labels a recorded series has is the rule's to say
    used = {label for group in _label_lists(tree) for label in group}
    found += [f"no metric here has the label {label!r}" for label in sorted(used - labels)]
    return found


def _about_selector(
    selector: Any,  # noqa: ANN401 - the parser's classes share no useful base
    functions: tuple[str, ...],
    recorded: Collection[str],
) -> Iterator[str]:
    name = str(selector.name)
    if name in recorded:
        return
    kind = _kind(name)
    if kind is None:
        yield f"{name} is not in the catalogue"
        return
    counted = any(function in COUNTING for function in functions)
    if kind == "counter" and not counted:
        yield f"{name} only ever grows: take its rate or increase"
    if kind == "gauge" and counted and not name.endswith("_offset"):
        yield f"{name} goes up and down: its rate means nothing"
    allowed = _labels_of(name) | TARGET_LABELS
    for matcher in selector.matchers.matchers:
        if matcher.name not in allowed:
            yield f"{name} has no label {matcher.name!r}"


def _kind(name: str) -> str | None:
    """Counter or gauge; the series of a histogram are counters. None: unknown."""
    if name in FOREIGN:
        return FOREIGN[name]
    if name in BY_NAME:
        kind = BY_NAME[name].kind
        return None if kind == "histogram" else kind
    base = BY_NAME.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return "counter" if base is not None and base.kind == "histogram" else None


def _labels_of(name: str) -> frozenset[str]:
    metric = BY_NAME.get(name) or BY_NAME.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return frozenset(metric.labels if metric else ()) | {"le"}


def _children(node: Any) -> Iterator[Any]:  # noqa: ANN401
    for attribute in ("lhs", "rhs", "expr", "vector_selector"):
        child = getattr(node, attribute, None)
        if child is not None:
            yield child
    yield from getattr(node, "args", ())


def _selectors(node: Any, functions: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:  # noqa: ANN401
    """Every vector selector with the functions around it."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node, functions
        return
    if isinstance(node, promql_parser.Call):
        functions = (*functions, node.func.name)
    for child in _children(node):
        yield from _selectors(child, functions)


def _label_lists(node: Any) -> Iterator[list[str]]:  # noqa: ANN401
    """The labels named by `by`, `without`, `on`, `ignoring`, `group_left`."""
    modifier = getattr(node, "modifier", None)
    for holder in (modifier, getattr(modifier, "matching", None)):
        yield list(getattr(holder, "labels", None) or ())
    yield list(getattr(modifier, "group_labels", None) or ())
    for child in _children(node):
        yield from _label_lists(child)
