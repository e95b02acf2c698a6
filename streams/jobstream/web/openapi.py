"""The OpenAPI 3.1 description of the API: made of its calls, and of the app's own job types."""

from __future__ import annotations

from dataclasses import fields
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, get_type_hints

from jobstream.web.api_enqueue import MANY_MAX, JobOptionsBody, ManyOptionsBody, OneOfMany
from jobstream.web.api_route import V1
from jobstream.web.problems import MEDIA_TYPE
from jobstream.web.request_parts import TEXT_CHARS_MAX
from jobstream.web.type_schemas import REF, Schema, Schemas, bounds, has_default
from jobstream_schemas import args_schema
from jobstream_schemas.json_schema import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.answers.app_site import Site
    from jobstream.job import Job
    from jobstream.web.api_route import ApiRoute

ALWAYS = (400, 401, 403, 413, 415, 421, 422, 429, 500, 502, 503)
"""Statuses of problems that any call may answer with."""
_TYPE = "/types/{type}/jobs"
_PROBLEM: Schema = {
    "type": "object",
    "description": "An RFC 9457 problem: which value is wrong, and what to do about it.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "instance"],
}


def description(
    site: Site, routes: Iterable[ApiRoute], prefix: str, issuer: str = ""
) -> dict[str, Any]:
    """The document; `prefix` is where it is mounted, `issuer` whose tokens it takes, too."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        typed = route.path.startswith(_TYPE) and site.has_code
        for job in site.app.jobs.values() if typed else (None,):
            path = route.path if job is None else route.path.replace("{type}", job.name)
            made = _operation(schemas, route, job)
            paths.setdefault(V1 + path, {})[route.method.lower()] = made
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"jobs of {site.name}",
            "version": version("jobstream"),
            "description": "Enqueue jobs, see where they are, and operate the app.",
        },
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Problem": _PROBLEM},
            "securitySchemes": _security(issuer),
        },
        "security": [{name: []} for name in _security(issuer)],
    }


def _security(issuer: str) -> dict[str, dict[str, str]]:
    found = {"token": {"type": "http", "scheme": "bearer"}}
    if issuer:
        place = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        found["provider"] = {"type": "openIdConnect", "openIdConnectUrl": place}
    return found


def _operation(schemas: Schemas, route: ApiRoute, job: Job[Any, Any] | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.name if job is None else f"{route.name}.{job.name}",
        "summary": route.summary,
        "description": f"Needs the role `{route.needs}`.",
        "tags": [route.tag],
        "parameters": [*_path_parameters(route, job), *_query_parameters(schemas, route)],
        "responses": _responses(schemas, route),
    }
    body = _body(schemas, route, job)
    if body is not None:
        content = {"application/json": {"schema": body}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _path_parameters(route: ApiRoute, job: Job[Any, Any] | None) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    text = {"type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX}
    return [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in names
        if not (name == "type" and job is not None)
    ]


def _query_parameters(schemas: Schemas, route: ApiRoute) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    hints = get_type_hints(route.query)
    found = []
    for of in fields(route.query):
        hint = hints[of.name]
        if float in {hint, *getattr(hint, "__args__", ())}:
            schema: Schema = {"type": "string", "pattern": r"^[0-9]{1,2}s$"}
        else:
            schema = schemas.of(hint) | bounds(of)
            schema = next((s for s in schema.get("anyOf", ()) if s != {"type": "null"}), schema)
        found.append(
            {"name": of.name, "in": "query", "required": not has_default(of), "schema": schema}
        )
    return found


def _responses(schemas: Schemas, route: ApiRoute) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": REF + "Problem"}}}
    found: dict[str, Any] = {
        str(status): {"description": "A problem.", "content": problem}
        for status in sorted({*ALWAYS, *route.problems})
    }
    good: dict[str, Any] = {"description": route.summary}
    if route.media_type:
        good["content"] = {route.media_type: {}}
    elif route.answer is not None:
        good["content"] = {"application/json": {"schema": schemas.of(route.answer)}}
    found[str(route.status)] = good
    if 200 in route.problems:  # noqa: PLR2004 - what a dry run answers with
        found["200"] = good
    return found


def _body(schemas: Schemas, route: ApiRoute, job: Job[Any, Any] | None) -> Schema | None:
    if route.loose and route.body is not None:
        needed = [of.name for of in fields(route.body) if not has_default(of)]
        loose: dict[str, Schema] = {name: {"type": "object"} for name in route.loose}
        return _with(schemas, route.body, loose, needed)
    if route.body is not None:
        return schemas.of(route.body, taken=True)
    if not route.takes_json:
        return None
    args: Schema = {"type": "object"}
    if job is not None:
        args = {"$ref": f"{REF}args.{job.name}"}
        avro = args_schema(job.codec.cls, name=job.name)
        schemas.components[f"args.{job.name}"] = json_schema(avro)
    if not route.path.endswith("/many"):
        return _with(schemas, JobOptionsBody, {"args": args}, ["args"])
    each = _with(schemas, OneOfMany, {"args": args}, ["args"])
    jobs = {"type": "array", "items": each, "minItems": 1, "maxItems": MANY_MAX}
    return _with(schemas, ManyOptionsBody, {"jobs": jobs}, ["jobs"])


def _with(schemas: Schemas, cls: type, more: dict[str, Schema], needed: list[str]) -> Schema:
    """The object of the class, with these properties as well."""
    hints = get_type_hints(cls)
    own = {of.name: schemas.of(hints[of.name], taken=True) for of in fields(cls)}
    return {
        "type": "object",
        "properties": {**more, **own},
        "required": needed,
        "additionalProperties": False,
    }
