"""Tells apart settings and the variables by which Kubernetes and Docker announce a service.

For a service called `jobstream-metrics` every pod beside it gets `JOBSTREAM_METRICS_PORT`, with a
value that is no port, and six more. Names and values have one form, so nothing else is taken away.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
_BY_VALUE = re.compile(r"(.*_)?PORT(_\d+_(TCP|UDP|SCTP))?")
_BY_NAME = re.compile(
    r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))"
)


def without_service_links(
    environ: Mapping[str, str], prefix: str
) -> tuple[dict[str, str], list[str]]:
    """The variables of that prefix without those of services, and the names of the latter."""
    kept, links = {}, []
    for variable, value in environ.items():
        name = variable.removeprefix(prefix)
        if name != variable and _is_link(name, value):
            links.append(variable)
        else:
            kept[variable] = value
    return kept, sorted(links)


def _is_link(name: str, value: str) -> bool:
    if _BY_NAME.fullmatch(name):
        return True
    return bool(_BY_VALUE.fullmatch(name) and _ADDRESS.fullmatch(value))
