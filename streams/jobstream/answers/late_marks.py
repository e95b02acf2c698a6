"""Fields that were marked secret after their job was written: masked where args are shown.

A schema in the log marks what its writer knew to be secret, and the database of the views keeps
args as they were masked when they were read. The code here, and schemas that came later, may mark
more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_schemas import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.answers.app_site import Site


def masked_by_code(site: Site, job_type: str, args: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - JSON
    """The args without what the code here marks as secret; as they are where it is not known."""
    job = site.app.jobs_by_name.get(job_type) if site.has_code else None
    if job is None or args is None:
        return args
    return masked(job.codec.schema.schema, args, job.codec.reader.secret)


def masked_by_all(site: Site, job_type: str, args: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - JSON
    """The same, and without what any schema that the log has marks: for args of the views.

    Blocks for a reading of the schemas, at most every two seconds. Raises SourceAway and TooBusy:
    better no args than a secret.
    """
    args = masked_by_code(site, job_type, args)
    if args is not None:
        for schema, secret in _of_log(site).get(job_type, ()):
            args = masked(schema, args, secret)
    return args


def _of_log(site: Site) -> dict[str, list[tuple[Any, Any]]]:
    """Job type → schemas with secrets, each with what any schema of the type marks."""

    def read() -> dict[str, list[tuple[Any, Any]]]:
        found: dict[str, list[tuple[Any, Any]]] = {}
        with site.readers.one() as view:
            for each in view.catalogue.readers():
                if each.secret:
                    found.setdefault(each.job_type, []).append((each.schema, each.secret))
        return found

    return site.kept.get("marks", read).value
