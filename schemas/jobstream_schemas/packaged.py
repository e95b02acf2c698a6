"""The Avro files shipped in this package, read once when first asked for; holds no job's schema."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jobstream_schemas.derive import Json


@cache
def packaged(name: Literal["control", "meta", "mirror", "row"]) -> Json:
    """The schema in `avro/<name>.avsc`; shared, so a caller must not change it."""
    text = resources.files("jobstream_schemas").joinpath("avro", f"{name}.avsc").read_text("utf-8")
    schema: Json = json.loads(text)
    return schema
